"""Datasets and training runs: freeze, start, watch, cancel."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics import pipeline
from diagnostics.datasets import queries, services
from diagnostics.models import DatasetItem, DatasetPlan, DatasetVersion, Institution, RuledOut, TrainingRun
from diagnostics.scans.access import Permission, institutions_where, may
from diagnostics.training import planning
from diagnostics.training import services as training
from diagnostics.training.models import ACTIVE
from diagnostics.training.recipe import HYPERPARAMETERS

from .base import ReadOnlyModelAdmin, by_institution, column

STOP_POLLING = 286  # htmx's word for "there will be no news"


class FreezeForm(forms.Form):
    """Of whose scans, in which lineage."""

    institutions = forms.ModelMultipleChoiceField(
        queryset=Institution.objects.none(), label=gettext_lazy("Institutions"), widget=forms.CheckboxSelectMultiple
    )
    lineage = forms.CharField(
        label=gettext_lazy("Lineage"),
        max_length=40,
        initial="main",
        help_text=gettext_lazy(
            "Versions of one lineage share a test part that never changes. Another name begins a new one."
        ),
    )
    seed = forms.IntegerField(label=gettext_lazy("Seed"), min_value=0, max_value=2**31 - 1, initial=0)
    include_imported = forms.BooleanField(
        label=gettext_lazy("Count imported reference labels"), required=False, initial=True
    )
    include_demo = forms.BooleanField(label=gettext_lazy("Count synthetic phantoms"), required=False)
    exclude_readers = forms.ModelMultipleChoiceField(
        queryset=get_user_model().objects.none(),
        label=gettext_lazy("Leave these readers out"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Every scan in whose label one of them had a hand. All other lines stay as they are."),
    )
    exclude_institutions = forms.ModelMultipleChoiceField(
        queryset=Institution.objects.none(),
        label=gettext_lazy("Leave these institutions out"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Dealt together with the others and then left out, so that their lines stay."),
    )

    def __init__(self, *args: Any, by: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        theirs = institutions_where(by, Permission.FREEZE_DATASET)
        for name in ("institutions", "exclude_institutions"):
            self.fields[name].queryset = theirs  # type: ignore[attr-defined]
        self.fields["exclude_readers"].queryset = queries.readers_for(by)  # type: ignore[attr-defined]
        self.fields["institutions"].initial = list(theirs)


class TrainForm(forms.Form):
    """The recipe of a training, field by field as the domain declares it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for each in HYPERPARAMETERS:
            shared: dict[str, Any] = {"label": each.label, "help_text": each.help, "initial": each.default}
            if each.kind == "choice":
                self.fields[each.name] = forms.ChoiceField(choices=each.choices, **shared)
            elif each.kind == "whole":
                self.fields[each.name] = forms.IntegerField(
                    min_value=int(each.low), max_value=int(each.high), **shared
                )
            elif each.kind == "number":
                self.fields[each.name] = forms.FloatField(min_value=each.low, max_value=each.high, **shared)
            else:
                self.fields[each.name] = forms.BooleanField(required=False, **shared)


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

    def visible(self, user: Any) -> "QuerySet[Any]":
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

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_freeze = may(request.user, Permission.FREEZE_DATASET)
        return super().changelist_view(request, {**(extra_context or {}), "may_freeze": may_freeze})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        version = kwargs.get("obj")
        if version is not None:
            context.update(_counts(version.counts), obstacle=training.why_not(by=request.user, dataset=version))
        return super().render_change_form(request, context, *args, **kwargs)

    def freeze(self, request: HttpRequest) -> HttpResponse:
        """The plan of what freezing would make; the second press freezes it."""
        self.needs(request, Permission.FREEZE_DATASET)
        form = FreezeForm(request.POST or None, by=request.user)
        wanted = dict(form.cleaned_data) if request.method == "POST" and form.is_valid() else None
        if wanted is not None:
            for name in ("institutions", "exclude_readers", "exclude_institutions"):
                wanted[name] = list(wanted[name])
        elif request.method != "POST":
            wanted = {"institutions": list(institutions_where(request.user, Permission.FREEZE_DATASET))}
        if wanted is not None and "freeze" in request.POST:
            try:
                made = pipeline.freeze_dataset(by=request.user, wanted=wanted, seen=request.POST.get("seen", ""))
            except services.PlanChanged as refusal:
                messages.info(request, str(refusal))
            except services.NotFreezable as refusal:
                messages.error(request, str(refusal))
            else:
                if isinstance(made, DatasetPlan):
                    return HttpResponseRedirect(reverse("lab:plan", args=[made.pk]))
                messages.success(request, _("%(name)s is frozen.") % {"name": str(made).capitalize()})
                return HttpResponseRedirect(reverse("admin:diagnostics_datasetversion_change", args=[made.pk]))
        look = pipeline.plan_dataset(by=request.user, wanted=wanted) if wanted is not None else None
        plan = look.summary if look else None
        return self.act_page(
            request,
            title=_("Freeze a dataset version"),
            template="admin/diagnostics/freeze.html",
            form=form,
            plan=plan,
            work=look.row if look else None,
            **_counts(plan.counts if plan else {}),
        )

    def train(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The recipe of a training on this dataset."""
        self.needs(request, Permission.TRAIN)
        version = get_object_or_404(self.visible(request.user), pk=pk)
        form = TrainForm(request.POST or None)
        anyway = "anyway" in request.GET or "anyway" in request.POST
        status = 200
        if request.method == "POST" and form.is_valid():
            try:
                run = pipeline.start_training(
                    by=request.user, dataset=version, config=form.cleaned_data, anyway=anyway
                )
            except (training.NotTrainable, training.AnotherRunning) as refusal:
                form.add_error(None, str(refusal))
                status = 409 if isinstance(refusal, training.AnotherRunning) else 400
            else:
                messages.success(request, _("%(name)s is queued.") % {"name": str(run).capitalize()})
                return HttpResponseRedirect(reverse("admin:diagnostics_trainingrun_change", args=[run.pk]))
        return self.act_page(
            request,
            title=_("Train on %(name)s") % {"name": version},
            template="admin/diagnostics/train.html",
            form=form,
            act=_("Start training"),
            plan=planning.plan(by=request.user, dataset=version),
            anyway=anyway,
            stale=planning.unchanged(request.user, version),
            obstacle=training.why_not(by=request.user, dataset=version, anyway=anyway),
            intro=_(
                "It runs in the background and gives a candidate; nothing is predicted by it until it is promoted."
            ),
            status=status,
        )


def _counts(counts: dict[str, Any]) -> dict[str, Any]:
    return {
        "counts": counts,
        "table": queries.split_table(counts),
        "left_out": queries.left_out(counts),
        "label_sources": queries.by_label_source(counts),
    }


@admin.register(DatasetItem)
class DatasetItemAdmin(ReadOnlyModelAdmin):
    """Which scan is in which dataset, with which label from where."""

    sees = Permission.FREEZE_DATASET
    list_display = ("scan", "dataset", "label", "label_source", "split", "group")
    list_select_related = ("scan", "dataset")
    list_filter = (by_institution("scan__institution", Permission.FREEZE_DATASET), "split", "label", "label_source")
    search_fields = ("=scan__id", "=scan__sha256", "=group", "=dataset__number")

    def visible(self, user: Any) -> "QuerySet[Any]":
        return DatasetItem.objects.filter(dataset__in=DatasetVersion.objects.visible_to(user))


@admin.register(RuledOut)
class RuledOutAdmin(ReadOnlyModelAdmin):
    """Labels that were kept out of datasets because look-alikes contradict them."""

    sees = Permission.FREEZE_DATASET
    list_display = ("__str__", "scan", "label", "stands", "reason", "by", "at", "taken_back_by")
    list_select_related = ("scan", "by", "taken_back_by")
    list_filter = (by_institution("scan__institution", Permission.FREEZE_DATASET), "label", "at")
    search_fields = ("=scan__id", "=ruling", "reason")

    def visible(self, user: Any) -> "QuerySet[Any]":
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

    def visible(self, user: Any) -> "QuerySet[Any]":
        return DatasetPlan.objects.all() if user.is_superuser else DatasetPlan.objects.filter(by=user)


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
        "surroundings",
        "code_revision",
        "produced",
    )
    change_form_template = "admin/diagnostics/trainingrun/change_form.html"

    def visible(self, user: Any) -> "QuerySet[Any]":
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

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        run = kwargs.get("obj")
        if run is not None:
            context.update(run=run, running=run.state in ACTIVE)
        return super().render_change_form(request, context, *args, **kwargs)

    def progress(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """How far the run is: a part of its page, fetched every two seconds until it has ended."""
        run = get_object_or_404(self.visible(request.user), pk=pk)
        running = run.state in ACTIVE
        return render(
            request,
            "admin/diagnostics/trainingrun/_progress.html",
            {"run": run, "running": running},
            status=200 if running else STOP_POLLING,
        )

    def again(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask whether the run is to be run once more; the second press queues it."""
        self.needs(request, Permission.TRAIN)
        run = get_object_or_404(self.visible(request.user), pk=pk)
        form, status = forms.Form(request.POST or None), 200
        if request.method == "POST":
            try:
                repeated = pipeline.train_again(by=request.user, run=run)
            except (training.NotTrainable, training.AnotherRunning) as refusal:
                messages.error(request, str(refusal))
                status = 409
            else:
                return HttpResponseRedirect(reverse("admin:diagnostics_trainingrun_change", args=[repeated.pk]))
        return self.act_page(
            request,
            title=_("Run %(name)s again?") % {"name": run},
            form=form,
            act=_("Run again"),
            intro=_("Same dataset, same recipe, same seed. Its page will say how far the two models are apart."),
            status=status,
        )

    def cancel(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask whether the run is to be cancelled; the second press cancels it."""
        self.needs(request, Permission.TRAIN)
        run = get_object_or_404(self.visible(request.user), pk=pk)
        page = reverse("admin:diagnostics_trainingrun_change", args=[pk])
        if request.method == "POST":
            try:
                training.cancel(by=request.user, run=run)  # type: ignore[arg-type]
            except training.NothingToCancel as refusal:
                messages.info(request, str(refusal))
            return HttpResponseRedirect(page)
        return self.act_page(
            request,
            title=_("Cancel %(name)s?") % {"name": run},
            form=forms.Form(),
            act=_("Cancel the training"),
            intro=_("What it has learned so far is lost. Another training can be started afterwards."),
        )
