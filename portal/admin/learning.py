"""Datasets and training runs: freeze, start, watch, cancel."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor, account_of
from diagnostics.models import DatasetItem, DatasetPlan, DatasetVersion, RuledOut, TrainingRun
from diagnostics.scans.access import Permission, may
from diagnostics.training.models import ACTIVE
from diagnostics.training.services import blocking_reason
from portal.learning import datasets, training
from portal.learning.forms import FreezeForm, TrainForm

from .base import ReadOnlyModelAdmin, by_institution, column

STOP_POLLING = 286  # htmx's word for "there will be no news"


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnlyModelAdmin):
    """Frozen sets. "Freeze a dataset version" shows its plan first; "Start training" its recipe."""

    sees = Permission.FREEZE_DATASET
    list_display = ("__str__", "lineage", "scans", "groups", "sha256_start", "created_by", "frozen_at")
    list_select_related = ("created_by",)
    list_filter = ("lineage", "frozen_at")
    search_fields = ("=number", "lineage", "sha256")
    fields = ("number", "lineage", "seed", "sha256", "created_by", "frozen_at")
    change_list_template = "admin/diagnostics/datasetversion/change_list.html"
    change_form_template = "admin/diagnostics/datasetversion/change_form.html"

    def visible(self, user: Actor) -> "QuerySet[DatasetVersion]":
        return DatasetVersion.objects.visible_to(user)

    @column(gettext_lazy("scans"))
    def scans(self, version: DatasetVersion) -> Any:
        return version.counts.get("scans", "–")

    @column(gettext_lazy("groups"))
    def groups(self, version: DatasetVersion) -> Any:
        return version.counts.get("groups", "–")

    @column(gettext_lazy("manifest"))
    def sha256_start(self, version: DatasetVersion) -> str:
        return version.sha256[:12]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("freeze/", view(self.freeze), name="diagnostics_datasetversion_freeze"),
            path("<uuid:pk>/train/", view(self.train), name="diagnostics_datasetversion_train"),
        ]
        return own + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        may_freeze = may(request.user, Permission.FREEZE_DATASET)
        return super().changelist_view(request, {**(extra_context or {}), "may_freeze": may_freeze})

    def render_change_form(self, request: HttpRequest, context: dict[str, object], *args: Any, **kwargs: Any) -> Any:
        version = kwargs.get("obj")
        if version is not None:
            context.update(
                datasets.counts_for_page(version.counts), obstacle=blocking_reason(by=request.user, dataset=version)
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def freeze(self, request: HttpRequest) -> HttpResponse:
        """The plan of what freezing would make; the second press freezes it."""
        self.needs(request, Permission.FREEZE_DATASET)
        form = FreezeForm(request.POST if request.method == "POST" else None, by=request.user)
        made = datasets.freeze(request, form) if "freeze" in request.POST else None
        if made is not None:
            return HttpResponseRedirect(datasets.page_of(made, "admin:diagnostics_datasetversion_change"))
        return self.act_page(
            request,
            title=_("Freeze a dataset version"),
            template="admin/diagnostics/freeze.html",
            status=200,
            **datasets.plan_for_page(request.user, form),
        )

    def train(self, request: HttpRequest, pk: object) -> HttpResponse:
        """The recipe of a training on this dataset."""
        self.needs(request, Permission.TRAIN)
        version = get_object_or_404(self.visible(request.user), pk=pk)
        form = TrainForm(request.POST if request.method == "POST" else None)
        run = training.start(request, version, form) if request.method == "POST" else None
        if run is not None:
            messages.success(request, _("%(name)s is queued.") % {"name": str(run).capitalize()})
            return HttpResponseRedirect(reverse("admin:diagnostics_trainingrun_change", args=[run.pk]))
        return self.act_page(
            request,
            title=_("Train on %(name)s") % {"name": version},
            template="admin/diagnostics/train.html",
            act=_("Start training"),
            status=training.status_of(form),
            **training.plan_for_page(request, version, form),
        )


@admin.register(DatasetItem)
class DatasetItemAdmin(ReadOnlyModelAdmin):
    """Which scan is in which dataset, with which label from where."""

    sees = Permission.FREEZE_DATASET
    list_display = ("scan", "dataset", "label", "label_source", "split", "group")
    list_select_related = ("scan", "dataset")
    list_filter = (by_institution("scan__institution", Permission.FREEZE_DATASET), "split", "label", "label_source")
    search_fields = ("=scan__id", "=scan__sha256", "=group", "=dataset__number")

    def visible(self, user: Actor) -> "QuerySet[DatasetItem]":
        return DatasetItem.objects.filter(dataset__in=DatasetVersion.objects.visible_to(user))


@admin.register(RuledOut)
class RuledOutAdmin(ReadOnlyModelAdmin):
    """Labels that were kept out of datasets because look-alikes contradict them."""

    sees = Permission.FREEZE_DATASET
    list_display = ("__str__", "scan", "label", "stands", "reason", "by", "at", "taken_back_by")
    list_select_related = ("scan", "by", "taken_back_by")
    list_filter = (by_institution("scan__institution", Permission.FREEZE_DATASET), "label", "at")
    search_fields = ("=scan__id", "=ruling", "reason")

    def visible(self, user: Actor) -> "QuerySet[RuledOut]":
        return RuledOut.objects.visible_to(user)


@admin.register(DatasetPlan)
class DatasetPlanAdmin(ReadOnlyModelAdmin):
    """Plans and freezes of very many scans, which a worker carries out: one's own, or all for a superuser."""

    sees = Permission.FREEZE_DATASET
    list_display = ("__str__", "state", "freezes", "attempts", "created_at", "finished_at", "failure")
    list_filter = ("state", "created_at")
    search_fields = ("=id",)
    fields = (
        "by",
        "wanted",
        "freezes",
        "seen",
        "state",
        "attempts",
        "lease_until",
        "produced",
        "failure",
        "created_at",
        "started_at",
        "finished_at",
    )

    def visible(self, user: Actor) -> "QuerySet[DatasetPlan]":
        return DatasetPlan.objects.all() if user.is_superuser else DatasetPlan.objects.filter(by=account_of(user))


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyModelAdmin):
    """Training runs; a run's page shows how far it is and can cancel it."""

    sees = Permission.TRAIN
    list_display = ("__str__", "state", "progress_percent", "dataset", "produced", "created_by", "created_at")
    list_select_related = ("dataset", "produced", "created_by")
    list_filter = ("state", "created_at")
    search_fields = ("=number", "failure")
    fields = (
        "number",
        "dataset",
        "created_by",
        "created_at",
        "started_at",
        "finished_at",
        "attempts",
        "config",
        "repeats",
        "environment",
        "code_revision",
        "produced",
    )
    change_form_template = "admin/diagnostics/trainingrun/change_form.html"

    def visible(self, user: Actor) -> "QuerySet[TrainingRun]":
        return TrainingRun.objects.visible_to(user).select_related("dataset", "produced", "created_by")

    @column(gettext_lazy("progress"), "progress")
    def progress_percent(self, run: TrainingRun) -> str:
        return f"{run.progress:.0%}".replace("%", " %")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:pk>/progress/", view(self.progress), name="diagnostics_trainingrun_progress"),
            path("<uuid:pk>/cancel/", view(self.cancel), name="diagnostics_trainingrun_cancel"),
            path("<uuid:pk>/again/", view(self.again), name="diagnostics_trainingrun_again"),
        ]
        return own + super().get_urls()

    def render_change_form(self, request: HttpRequest, context: dict[str, object], *args: Any, **kwargs: Any) -> Any:
        run = kwargs.get("obj")
        if run is not None:
            context.update(run=run, running=run.state in ACTIVE)
        return super().render_change_form(request, context, *args, **kwargs)

    def progress(self, request: HttpRequest, pk: object) -> HttpResponse:
        """How far the run is: a part of its page, fetched every two seconds until it has ended."""
        run = get_object_or_404(self.visible(request.user), pk=pk)
        running = run.state in ACTIVE
        return render(
            request,
            "admin/diagnostics/trainingrun/_progress.html",
            {"run": run, "running": running},
            status=200 if running else STOP_POLLING,
        )

    def again(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Ask whether the run is to be run once more; the second press queues it."""
        self.needs(request, Permission.TRAIN)
        run = get_object_or_404(self.visible(request.user), pk=pk)
        if request.method == "POST":
            repeated = training.run_again(request, run)
            if repeated is not None:
                return HttpResponseRedirect(reverse("admin:diagnostics_trainingrun_change", args=[repeated.pk]))
        return self.act_page(
            request,
            title=_("Repeat %(name)s?") % {"name": run},
            form=forms.Form(),
            act=_("Repeat run"),
            intro=_("Same dataset, settings and seed. Its page will compare the two models."),
            status=409 if request.method == "POST" else 200,
        )

    def cancel(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Ask whether the run is to be cancelled; the second press cancels it."""
        self.needs(request, Permission.TRAIN)
        run = get_object_or_404(self.visible(request.user), pk=pk)
        page = reverse("admin:diagnostics_trainingrun_change", args=[pk])
        if request.method == "POST":
            training.cancel(request, run)
            return HttpResponseRedirect(page)
        return self.act_page(
            request,
            title=_("Cancel %(name)s?") % {"name": run},
            form=forms.Form(),
            act=_("Cancel the training"),
            intro=_("What it has learned so far is lost. Another training can be started afterwards."),
        )
