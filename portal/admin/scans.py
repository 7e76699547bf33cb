"""Patients, studies and scans, to look at."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.actors import Actor
from diagnostics.errors import Conflict, Invalid
from diagnostics.models import (
    DicomPeer,
    Image,
    KeptInstance,
    Patient,
    QuarantinedFile,
    Scan,
    SealedOriginal,
    Series,
    Study,
)
from diagnostics.peers import outbox
from diagnostics.scans.access import Permission, institutions_where, may, within
from portal.ui.fields import choose_from
from portal.ui.refusals import refusals_in_form

from .base import ReadOnlyModelAdmin, by_institution, by_words, fields_of


@admin.register(Patient)
class PatientAdmin(ReadOnlyModelAdmin):
    """Patients by their pseudonym."""

    sees = Permission.SEE_SCANS
    list_display = ("pseudonym", "institution", "created_at")
    list_select_related = ("institution",)
    list_filter = (by_institution("institution", Permission.SEE_SCANS),)
    search_fields = ("pseudonym",)

    def visible(self, user: Actor) -> "QuerySet[Patient]":
        return Patient.objects.visible_to(user)


@admin.register(Study)
class StudyAdmin(ReadOnlyModelAdmin):
    """Visits."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "patient", "date", "created_at")
    list_select_related = ("patient",)
    fields = fields_of(Study, without=("uid",))
    list_filter = (by_institution("patient__institution", Permission.SEE_SCANS),)
    search_fields = ("accession", "patient__pseudonym")
    change_form_template = "admin/diagnostics/study/change_form.html"

    def visible(self, user: Actor) -> "QuerySet[Study]":
        return Study.objects.filter(patient__in=Patient.objects.visible_to(user))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.send)
        return [path("<uuid:pk>/send/", view, name="diagnostics_study_send"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        study = kwargs.get("obj")
        if study is not None:
            context["may_send"] = may(request.user, Permission.ADMINISTER, study.institution)
        return super().render_change_form(request, context, *args, **kwargs)

    def send(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Choose a DICOM peer, and send it every file of the study."""
        self.needs(request, Permission.ADMINISTER)
        places = institutions_where(request.user, Permission.ADMINISTER)
        study = get_object_or_404(self.visible(request.user).filter(institution__in=places), pk=pk)
        form = SendForm(request.POST if request.method == "POST" else None, study=study)
        if form.is_valid():
            with refusals_in_form(form, Invalid, Conflict):
                files = outbox.send_study(by=request.user, study=study, peer=form.cleaned_data["peer"])
                messages.success(request, _("Queued for sending: %(files)s files.") % {"files": files})
                return HttpResponseRedirect(reverse("admin:diagnostics_study_change", args=[study.pk]))
        return self.act_page(
            request,
            title=_("Send to a DICOM peer"),
            form=form,
            act=_("Send"),
            intro=_("Every stored DICOM file of this study is sent, as it is stored here."),
            status=400 if form.errors else 200,
        )


class SendForm(forms.Form):
    """Where to send a study."""

    peer = forms.ModelChoiceField(queryset=DicomPeer.objects.none(), label=gettext_lazy("DICOM peer"))

    def __init__(self, *args: Any, study: Study, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        peers = DicomPeer.objects.filter(institution=study.institution_id, active=True).exclude(host="")
        choose_from(self, "peer", peers)


@admin.register(Scan)
class ScanAdmin(ReadOnlyModelAdmin):
    """Scans with what is known of their files. The images themselves are on the portal's pages."""

    sees = Permission.SEE_SCANS
    list_display = (
        "__str__",
        "patient",
        "institution",
        "format",
        "width",
        "height",
        "source",
        "priority",
        "created_at",
    )
    list_select_related = ("patient", "institution")
    list_filter = (
        by_institution("institution", Permission.SEE_SCANS),
        "source",
        by_words("format", ("jpeg", "png", "dicom")),
        "priority",
        ("rejected_code", admin.EmptyFieldListFilter),
    )
    search_fields = ("=id", "=sha256", "patient__pseudonym", "study__accession")
    fields = fields_of(Scan, without=("fingerprint", "pixels", "preview", "original"))

    def visible(self, user: Actor) -> "QuerySet[Scan]":
        return Scan.objects.visible_to(user)


@admin.register(Series)
class SeriesAdmin(ReadOnlyModelAdmin):
    """Series, and whether their images are here."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "study", "institution", "modality", "sequence", "plane", "arrival", "created_at")
    list_select_related = ("study", "institution")
    list_filter = (by_institution("institution", Permission.SEE_SCANS), "arrival", "sequence", "plane")
    search_fields = ("=id", "=study__id")
    # UIDs lead to the patient in the hospital's own archive.
    fields = fields_of(Series, without=("uid", "frame_of_reference"))

    def visible(self, user: Actor) -> "QuerySet[Series]":
        return Series.objects.filter(within(user, Permission.SEE_SCANS))


@admin.register(Image)
class ImageAdmin(ReadOnlyModelAdmin):
    """The images of scans. The pixels themselves are on the portal's pages."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "scan", "institution", "index", "width", "height", "created_at")
    list_select_related = ("scan", "institution")
    list_filter = (by_institution("institution", Permission.SEE_SCANS),)
    search_fields = ("=scan__id", "=sha256")
    fields = fields_of(Image, without=("sop_uid", "pixels", "preview", "original"))

    def visible(self, user: Actor) -> "QuerySet[Image]":
        return Image.objects.filter(within(user, Permission.SEE_SCANS))


@admin.register(KeptInstance)
class KeptInstanceAdmin(ReadOnlyModelAdmin):
    """Objects of a study that are never analysed."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "kind", "study", "institution", "size_bytes", "created_at")
    list_select_related = ("study", "institution")
    list_filter = (by_institution("institution", Permission.SEE_SCANS), "kind")
    search_fields = ("=id", "=sha256")
    fields = fields_of(KeptInstance, without=("sop_uid", "original"))

    def visible(self, user: Actor) -> "QuerySet[KeptInstance]":
        return KeptInstance.objects.filter(within(user, Permission.SEE_SCANS))


@admin.register(SealedOriginal)
class SealedOriginalAdmin(ReadOnlyModelAdmin):
    """Originals of de-identified files. They are opened with ``manage.py open_original``, never here."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "institution", "size_bytes", "created_at")
    list_select_related = ("institution",)
    list_filter = (by_institution("institution", Permission.ADMINISTER),)
    search_fields = ("=id", "=stored_sha256")
    fields = fields_of(SealedOriginal, without=("original",))

    def visible(self, user: Actor) -> "QuerySet[SealedOriginal]":
        return SealedOriginal.objects.filter(within(user, Permission.ADMINISTER))


@admin.register(QuarantinedFile)
class QuarantinedFileAdmin(ReadOnlyModelAdmin):
    """Files that contradict an instance which is here."""

    sees = Permission.SUBMIT_SCAN
    list_display = ("__str__", "institution", "uploaded_by", "size_bytes", "created_at")
    list_select_related = ("institution", "uploaded_by")
    list_filter = (by_institution("institution", Permission.SUBMIT_SCAN),)
    search_fields = ("=id", "=sha256")
    fields = fields_of(QuarantinedFile, without=("sop_uid", "original"))

    def visible(self, user: Actor) -> "QuerySet[QuarantinedFile]":
        return QuarantinedFile.objects.filter(within(user, Permission.SUBMIT_SCAN))
