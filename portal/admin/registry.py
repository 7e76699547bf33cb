"""Models: what they are worth, and which one is in use."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from diagnostics.actors import Actor
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
from diagnostics.registry import gate, queries, requests, services
from diagnostics.registry.models import ModelState
from diagnostics.reviews.visible_scans import scans_for
from diagnostics.scans.access import Permission, may
from portal.learning import promotion
from portal.learning.forms import ReasonForm, RollBackForm
from portal.learning.labels import MODEL_LABELS
from portal.ui.refusals import refusals_in_form

from .base import ReadOnlyModelAdmin, by_words, column, fields_of


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

    def visible(self, user: Actor) -> "QuerySet[ModelVersion]":
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

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        former = services.previous() if may(request.user, Permission.PROMOTE) else None
        return super().changelist_view(request, {**(extra_context or {}), "former": former})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        version = kwargs.get("obj")
        if version is not None:
            may_propose = may(request.user, Permission.PROPOSE_PROMOTION)
            context.update(
                may_promote=may_propose and version.state != ModelState.LIVE,
                may_assign_aliases=may(request.user, Permission.ASSIGN_MODEL_ALIASES),
                approval_needed=may_propose and requests.terms_for(by=request.user, version=version).approval_needed,
                **promotion.evidence(request.user, version),
            )
        return super().render_change_form(request, context, *args, **kwargs)

    @method_decorator(sensitive_post_parameters("password"))
    def promote(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Look at the candidate beside the live model and at the gate, say why, and put it into use or propose it."""
        self.needs(request, Permission.PROPOSE_PROMOTION)
        version = get_object_or_404(self.visible(request.user), pk=pk)
        terms = requests.terms_for(by=request.user, version=version)
        form = promotion.promotion_form(request, terms, request.POST if request.method == "POST" else None)
        done = promotion.put_forward(request, version, form, terms) if request.method == "POST" else ""
        if done:
            return self._done(request, done)
        live = services.live()
        return self.act_page(
            request,
            title=_("Promote %(name)s") % {"name": version},
            template="admin/diagnostics/promote.html",
            form=form,
            act=_("Propose for promotion") if terms.approval_needed else _("Promote to live"),
            intro=_("Live now: %(name)s. It becomes the previous model and can be restored.") % {"name": live}
            if live
            else _("No model is live now."),
            approval_needed=terms.approval_needed,
            **promotion.evidence(request.user, version),
            **promotion.in_the_way(terms.exception),
            status=400 if form.errors else 200,
        )

    def challenge(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Let a model score live cases in the shadow."""
        return self._assign_alias(
            request,
            pk,
            promotion.challenge,
            title=_("Run %(name)s as challenger"),
            act=_("Run as challenger"),
            intro=_("It scores new cases; readers do not see it. The current challenger stops."),
        )

    def retire(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Put a candidate or the challenger aside."""
        return self._assign_alias(
            request,
            pk,
            promotion.retire,
            title=_("Retire %(name)s"),
            act=_("Retire"),
            intro=_("It stops scoring cases. It can become challenger or be promoted later."),
        )

    def _assign_alias(
        self,
        request: HttpRequest,
        pk: object,
        assign: Callable[[Any, ModelVersion], str],
        *,
        title: str,
        act: str,
        intro: str,
    ) -> HttpResponse:
        self.needs(request, Permission.ASSIGN_MODEL_ALIASES)
        version = get_object_or_404(self.visible(request.user), pk=pk)
        form = forms.Form(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_in_form(form, *promotion.REFUSED):
                return self._done(request, assign(request.user, version))
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
        form = RollBackForm(
            request.POST if request.method == "POST" else None, initial={"to": former.pk if former else ""}
        )
        done = promotion.roll_back(request, form) if request.method == "POST" else ""
        if done:
            return self._done(request, done)
        return self.act_page(
            request,
            title=_("Roll back"),
            form=form,
            act=_("Roll back"),
            obstacle="" if former else _("There is no previous model."),
            intro=_("Live now: %(live)s. Rolled back to: %(former)s.") % {"live": live, "former": former}
            if former
            else "",
            status=400 if form.errors else 200,
        )

    def _done(self, request: HttpRequest, sentence: str) -> HttpResponse:
        messages.success(request, sentence)
        return HttpResponseRedirect(reverse("admin:diagnostics_modelversion_changelist"))


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyModelAdmin):
    """Who put which model into use, when and why."""

    sees = Permission.SEE_MODELS
    list_display = ("at", "kind", "version", "former", "by", "reason")
    list_select_related = ("version", "former", "by")
    list_filter = ("kind", "at")
    search_fields = ("reason", "version__name", "by__username")

    def visible(self, user: Actor) -> "QuerySet[Promotion]":
        return Promotion.objects.all() if may(user, Permission.SEE_MODELS) else Promotion.objects.none()


class OfTheInstallation(ReadOnlyModelAdmin):
    """Rows that belong to no institution: seen by whoever may see models."""

    sees = Permission.SEE_MODELS

    def visible(self, user: Actor) -> "QuerySet[Model]":
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

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
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
            with refusals_in_form(form, services.ReasonMissing, gate.BadRules):
                declared = gate.declare(by=request.user, rules=given, reason=reason)
                messages.success(request, _("Gate rules %(n)s are now in force.") % {"n": declared.number})
                return HttpResponseRedirect(reverse("admin:diagnostics_gaterules_changelist"))
        return self.act_page(
            request,
            title=_("Declare gate rules"),
            form=form,
            act=_("Declare"),
            intro=_("Candidates are now judged by these rules. Former rules are kept."),
            status=400 if form.errors else 200,
        )


class RulesForm(ReasonForm):
    """Every rule as a number, as it holds now."""

    def __init__(self, *args: Any, rules: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {
            "least_scans": gettext_lazy("Minimum number of test scans"),
            "least_groups": gettext_lazy("Minimum number of groups"),
            "least_of_class": gettext_lazy("Minimum number of scans to judge the sensitivity of a class"),
            "accuracy_margin": gettext_lazy("Maximum loss of accuracy"),
            "auroc_margin": gettext_lazy("Maximum loss of AUROC"),
            "sensitivity_margin": gettext_lazy("Maximum loss of sensitivity of any class"),
            "calibration_limit": gettext_lazy("Calibration error at most"),
            "calibration_margin": gettext_lazy(
                "Or at most this far above the live model, with certainty (-1: not used)"
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

    def visible(self, user: Actor) -> "QuerySet[Model]":
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
    list_filter = ("version", by_words("truth", MODEL_LABELS), by_words("label", MODEL_LABELS))
    search_fields = ("=scan__id",)
    fields = fields_of(TestedScan)
