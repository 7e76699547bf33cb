"""Models: what they are worth, and which one is in use."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.models import ModelVersion, Promotion
from diagnostics.registry import queries, services
from diagnostics.registry.models import ModelState
from diagnostics.scans.access import Permission, may

from .rooms import ReasonForm, RoomAdmin, column


@admin.register(ModelVersion)
class ModelVersionAdmin(RoomAdmin):
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
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def promote(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Look at the candidate beside the live model, say why, and put it into use."""
        self.needs(request, Permission.PROMOTE)
        version = get_object_or_404(self.visible(request.user), pk=pk)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                services.promote(by=request.user, version=version, reason=form.cleaned_data["reason"])  # type: ignore[arg-type]
            except (services.PromotionRefused, services.ArtifactDamaged) as refusal:
                form.add_error("reason", str(refusal))
            else:
                messages.success(request, _("%(name)s is in use. New scans are predicted by it.") % {"name": version})
                return HttpResponseRedirect(reverse("admin:diagnostics_modelversion_changelist"))
        live = services.live()
        return self.act_page(
            request,
            title=_("Promote %(name)s") % {"name": version},
            template="admin/diagnostics/promote.html",
            form=form,
            act=_("Promote to live"),
            intro=_("In use now: %(name)s. It becomes the previous model and can be put back.") % {"name": live}
            if live
            else _("No model is in use now."),
            rows=queries.rows(version),
            beside=queries.beside(version),
            part=queries.part_of(version),
            status=400 if form.errors else 200,
        )

    def roll_back(self, request: HttpRequest) -> HttpResponse:
        """Say why, and put the former model back into use."""
        self.needs(request, Permission.PROMOTE)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                done = services.roll_back(by=request.user, reason=form.cleaned_data["reason"])  # type: ignore[arg-type]
            except (services.PromotionRefused, services.ArtifactDamaged) as refusal:
                form.add_error("reason", str(refusal))
            else:
                messages.success(request, _("%(name)s is in use again.") % {"name": done.version})
                return HttpResponseRedirect(reverse("admin:diagnostics_modelversion_changelist"))
        live, former = services.live(), services.previous()
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
class PromotionAdmin(RoomAdmin):
    """Who put which model into use, when and why."""

    sees = Permission.SEE_MODELS
    list_display = ("at", "kind", "version", "former", "by", "reason")
    list_select_related = ("version", "former", "by")
    list_filter = ("kind", "at")
    search_fields = ("reason", "version__name", "by__username")

    def visible(self, user: Any) -> "QuerySet[Any]":
        return Promotion.objects.all() if may(user, Permission.SEE_MODELS) else Promotion.objects.none()
