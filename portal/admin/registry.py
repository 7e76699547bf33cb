"""Models: what they are worth, and which one is in use."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.models import (
    GateResult,
    GateRules,
    ModelAlarm,
    ModelVersion,
    Promotion,
    PromotionRequest,
    ShadowOpinion,
    TestedScan,
)
from diagnostics.predictions.standing import cases_not_begun
from diagnostics.registry import exceptions, gate, queries, requests, services
from diagnostics.registry.models import ModelState
from diagnostics.reviews.models import Label
from diagnostics.reviews.queries import scans_for
from diagnostics.scans.access import Permission, may
from portal.accounts import freshness

from .base import PromoteForm, ReadOnlyModelAdmin, ReasonForm, RollBackForm, by_words, column, fields_of

# What a model can say; the other labels are statements of readers only.
_MODEL_LABELS = [label for label in Label.values if label not in (Label.NOT_ASSESSABLE, Label.OUT_OF_SCOPE)]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyModelAdmin):
    """Candidates, the live model and its predecessors; "Promote" and "Roll back" ask for a reason first."""

    sees = Permission.SEE_MODELS
    list_display = ("__str__", "state", "architecture", "auroc", "accuracy", "sha256_start", "created_at")
    list_filter = ("state", "architecture")
    search_fields = ("name", "sha256", "=number")
    fields = ("number", "name", "state", "architecture", "sha256", "created_at", "updated_at")
    change_list_template = "admin/diagnostics/modelversion/change_list.html"
    change_form_template = "admin/diagnostics/modelversion/change_form.html"

    def visible(self, user: Any) -> "QuerySet[Any]":
        # Models belong to the installation: whoever may see models anywhere sees each.
        return ModelVersion.objects.all() if may(user, Permission.SEE_MODELS) else ModelVersion.objects.none()

    @column(gettext_lazy("AUROC"))
    def auroc(self, version: ModelVersion) -> str:
        return self._measured(version, "auroc")

    @column(gettext_lazy("accuracy"))
    def accuracy(self, version: ModelVersion) -> str:
        return self._measured(version, "accuracy")

    @column(gettext_lazy("weights"))
    def sha256_start(self, version: ModelVersion) -> str:
        return version.sha256[:12]

    def _measured(self, version: ModelVersion, name: str) -> str:
        found = queries.measured(queries.part_of(version).get("metrics", {}).get(name))
        return found.value if found else "–"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("roll-back/", view(self.roll_back), name="diagnostics_modelversion_roll_back"),
            path("<uuid:pk>/promote/", view(self.promote), name="diagnostics_modelversion_promote"),
            path("<uuid:pk>/challenge/", view(self.challenge), name="diagnostics_modelversion_challenge"),
            path("<uuid:pk>/retire/", view(self.retire), name="diagnostics_modelversion_retire"),
        ]
        return own + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        former = services.previous() if may(request.user, Permission.PROMOTE) else None
        return super().changelist_view(request, {**(extra_context or {}), "former": former})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        version = kwargs.get("obj")
        if version is not None:
            context.update(
                part=queries.part_of(version),
                rows=queries.rows(version),
                beside=queries.beside(version),
                may_promote=may(request.user, Permission.PROMOTE) and version.state != ModelState.LIVE,
                may_assign_aliases=may(request.user, Permission.ASSIGN_MODEL_ALIASES),
                gate=gate.standing(version),
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def promote(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Look at the candidate beside the live model and at the gate, say why, and put it into use or propose it."""
        self.needs(request, Permission.PROMOTE)
        version = get_object_or_404(self.visible(request.user), pk=pk)
        stands = gate.standing(version)
        needed = exceptions.needed_for(by=request.user, version=version, stands=stands)
        by_two = requests.needs_approval(by=request.user, version=version)  # type: ignore[arg-type]
        form = PromoteForm(
            request.POST or None,
            name_asked=needed is not None and not settings.SECOND_ADMINISTRATOR,
            password_asked=not by_two and not freshness.is_fresh(request),
        )
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            try:
                if not by_two:
                    freshness.require(request, given.get("password", ""))
                made = requests.put_forward(
                    by=request.user,  # type: ignore[arg-type]
                    version=version,
                    reason=given["reason"],
                    name=given.get("name", ""),
                    by_two=by_two,
                )
                if isinstance(made, PromotionRequest):
                    done = _("%(name)s is proposed. Another administrator decides.") % {"name": version}
                else:
                    done = _("%(name)s is in use. New scans are predicted by it.") % {"name": version}
            except (services.PromotionRefused, services.ArtifactDamaged) as refusal:
                field = getattr(refusal, "field", "reason")
                form.add_error(field if field in form.fields else "reason", str(refusal))
            except freshness.NotFresh as refusal:
                form.add_error("password", str(refusal))
            else:
                messages.success(request, done)
                return HttpResponseRedirect(reverse("admin:diagnostics_modelversion_changelist"))
        live = services.live()
        return self.act_page(
            request,
            title=_("Promote %(name)s") % {"name": version},
            template="admin/diagnostics/promote.html",
            form=form,
            act=_("Propose for promotion") if by_two else _("Promote to live"),
            intro=_("In use now: %(name)s. It becomes the previous model and can be put back.") % {"name": live}
            if live
            else _("No model is in use now."),
            rows=queries.rows(version),
            beside=queries.beside(version),
            part=queries.part_of(version),
            gate=stands,
            exception=None if settings.SECOND_ADMINISTRATOR else needed,
            waiting=cases_not_begun() if needed is not None else 0,
            second_administrator=settings.SECOND_ADMINISTRATOR,
            status=400 if form.errors else 200,
        )

    def challenge(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Let a model score live cases in the shadow."""
        return self._seat(
            request,
            pk,
            services.challenge,
            title=_("Let %(name)s challenge"),
            act=_("Let it challenge"),
            intro=_("It scores live cases where no reader sees it. The challenger there is now stops."),
        )

    def retire(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Put a candidate or the challenger aside."""
        return self._seat(
            request,
            pk,
            services.retire,
            title=_("Put %(name)s aside"),
            act=_("Put it aside"),
            intro=_("It scores nothing any more. It can challenge or be promoted later."),
        )

    def _seat(self, request: HttpRequest, pk: Any, service: Any, *, title: str, act: str, intro: str) -> HttpResponse:
        self.needs(request, Permission.ASSIGN_MODEL_ALIASES)
        version = get_object_or_404(self.visible(request.user), pk=pk)
        form = forms.Form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                service(by=request.user, version=version)
            except (services.PromotionRefused, services.ArtifactDamaged) as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, _("%(name)s: %(act)s.") % {"name": version, "act": act.lower()})
                return HttpResponseRedirect(reverse("admin:diagnostics_modelversion_changelist"))
        return self.act_page(
            request,
            title=title % {"name": version},
            form=form,
            act=act,
            intro=intro,
            status=400 if form.errors else 200,
        )

    def roll_back(self, request: HttpRequest) -> HttpResponse:
        """Say why, and put the former model back into use."""
        self.needs(request, Permission.PROMOTE)
        live, former = services.live(), services.previous()
        form = RollBackForm(request.POST or None, initial={"to": former.pk if former else ""})
        if request.method == "POST" and form.is_valid():
            try:
                done = services.roll_back(by=request.user, **form.cleaned_data)  # type: ignore[arg-type]
            except (services.PromotionRefused, services.ArtifactDamaged) as refusal:
                form.add_error("reason", str(refusal))
            else:
                messages.success(request, _("%(name)s is in use again.") % {"name": done.version})
                return HttpResponseRedirect(reverse("admin:diagnostics_modelversion_changelist"))
        return self.act_page(
            request,
            title=_("Roll back"),
            form=form,
            act=_("Roll back"),
            obstacle="" if former else _("There is no former model to return to."),
            intro=_("In use now: %(live)s. Put back: %(former)s.") % {"live": live, "former": former}
            if former
            else "",
            status=400 if form.errors else 200,
        )


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyModelAdmin):
    """Who put which model into use, when and why."""

    sees = Permission.SEE_MODELS
    list_display = ("at", "kind", "version", "former", "by", "reason")
    list_select_related = ("version", "former", "by")
    list_filter = ("kind", "at")
    search_fields = ("reason", "version__name", "by__username")

    def visible(self, user: Any) -> "QuerySet[Any]":
        return Promotion.objects.all() if may(user, Permission.SEE_MODELS) else Promotion.objects.none()


class OfTheInstallation(ReadOnlyModelAdmin):
    """Rows that belong to no institution: seen by whoever may see models."""

    sees = Permission.SEE_MODELS

    def visible(self, user: Any) -> "QuerySet[Any]":
        rows = self.model._default_manager
        return rows.all() if may(user, Permission.SEE_MODELS) else rows.none()


@admin.register(GateRules)
class GateRulesAdmin(OfTheInstallation):
    """The gate's rules by number; "Declare gate rules" makes the next ones."""

    list_display = ("__str__", "at", "by", "reason")
    list_select_related = ("by",)
    search_fields = ("reason", "=number")
    change_list_template = "admin/diagnostics/gaterules/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [path("declare/", view(self.declare), name="diagnostics_gaterules_declare"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        gate.current_rules()
        shown = {"may_declare": may(request.user, Permission.PROMOTE), "offered": gate.offered() is not None}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def declare(self, request: HttpRequest) -> HttpResponse:
        """Declare the rules that hold from now on; filled in with those that hold, or with the software's new ones."""
        self.needs(request, Permission.PROMOTE)
        ours = gate.offered() if "offered" in request.GET else None
        form = RulesForm(request.POST or None, rules=ours or gate.rules_of(gate.current_rules()).to_dict())
        if request.method == "POST" and form.is_valid():
            given = dict(form.cleaned_data)
            reason = given.pop("reason")
            try:
                declared = gate.declare(by=request.user, rules=given, reason=reason)  # type: ignore[arg-type]
            except services.ReasonMissing as refusal:
                form.add_error("reason", str(refusal))
            except gate.BadRules as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, _("Gate rules %(n)s hold from now on.") % {"n": declared.number})
                return HttpResponseRedirect(reverse("admin:diagnostics_gaterules_changelist"))
        return self.act_page(
            request,
            title=_("Declare gate rules"),
            form=form,
            act=_("Declare"),
            intro=_("Candidates are judged by them from now on, the newest anew. Former rules stay written."),
            status=400 if form.errors else 200,
        )


class RulesForm(ReasonForm):
    """Every rule as a number, as it holds now."""

    def __init__(self, *args: Any, rules: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {
            "least_scans": gettext_lazy("Test scans at least"),
            "least_groups": gettext_lazy("Groups of them at least"),
            "least_of_class": gettext_lazy("Scans of a class from which its sensitivity is judged"),
            "accuracy_margin": gettext_lazy("Loss of accuracy at most"),
            "auroc_margin": gettext_lazy("Loss of AUROC at most"),
            "sensitivity_margin": gettext_lazy("Loss of any class's sensitivity at most"),
            "calibration_limit": gettext_lazy("Calibration error at most"),
            "calibration_margin": gettext_lazy(
                "Or surely no more above that of the model in use than (-1: does not count)"
            ),
            "confidence": gettext_lazy("Confidence of the intervals"),
        }
        reason = self.fields.pop("reason")
        for name, value in rules.items():
            kind = forms.IntegerField if isinstance(value, int) else forms.FloatField
            self.fields[name] = kind(label=names.get(name, name), initial=value)
        self.fields["reason"] = reason


@admin.register(GateResult)
class GateResultAdmin(OfTheInstallation):
    """What the rules said of which model, beside which, when. The numbers stand on the model's page in the lab."""

    list_display = ("at", "version", "verdict", "live", "rules")
    list_select_related = ("version", "live", "rules")
    list_filter = ("verdict", "at")
    search_fields = ("version__name", "=version__number")
    fields = ("at", "version", "verdict", "live", "rules", "test_sha256")


@admin.register(PromotionRequest)
class PromotionRequestAdmin(OfTheInstallation):
    """Who proposed which model, and what became of it; decided on the model's page in the lab."""

    list_display = ("created_at", "version", "state", "proposed_by", "decided_by", "expires_at")
    list_select_related = ("version", "proposed_by", "decided_by")
    list_filter = ("state", "created_at")
    search_fields = ("reason", "version__name", "proposed_by__username")


@admin.register(ModelAlarm)
class ModelAlarmAdmin(OfTheInstallation):
    """Models whose files were found damaged, and who stood in."""

    list_display = ("raised_at", "version", "stand_in", "ended_at")
    list_select_related = ("version", "stand_in")
    list_filter = ("raised_at",)


class _Unblinded(ReadOnlyModelAdmin):
    """Rows that tell what a model says of a scan: of those scans alone whose opinion one may know."""

    sees = Permission.SEE_MODELS

    def visible(self, user: Any) -> "QuerySet[Any]":
        rows = self.model._default_manager
        if not may(user, Permission.SEE_MODELS):
            return rows.none()
        return rows.filter(scan__in=scans_for(user).filter(Q(blinded=False)).values("pk"))


@admin.register(ShadowOpinion)
class ShadowOpinionAdmin(_Unblinded):
    """What a challenger said of live cases; never shown to readers."""

    list_display = ("__str__", "scan", "model_version", "label", "tumour_probability", "failure", "created_at")
    list_select_related = ("scan", "model_version")
    list_filter = ("model_version",)
    search_fields = ("=scan__id",)
    fields = fields_of(ShadowOpinion)


@admin.register(TestedScan)
class TestedScanAdmin(_Unblinded):
    """What a candidate, and the model in use beside it, said of each scan of its test part."""

    list_display = ("scan", "version", "truth", "label", "tumour_probability", "live", "live_label")
    list_select_related = ("scan", "version", "live")
    list_filter = ("version", by_words("truth", _MODEL_LABELS), by_words("label", _MODEL_LABELS))
    search_fields = ("=scan__id",)
    fields = fields_of(TestedScan)
