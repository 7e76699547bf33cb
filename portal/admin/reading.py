"""Opinions, cases, claims and reads, to look at. They are never edited; a newer one stands beside the old."""

from django.contrib import admin
from django.db.models import Q, QuerySet

from diagnostics.actors import Actor
from diagnostics.annotations.queries import annotations_for
from diagnostics.cases.models import CaseState
from diagnostics.models import Annotation, Case, Claim, Comment, Control, Prediction, Read
from diagnostics.reviews.queries import predictions_for, reads_for
from diagnostics.reviews.thread import comments_for
from diagnostics.scans.access import Permission, institutions_where

from .base import ReadOnlyModelAdmin, by_institution, fields_of


@admin.register(Prediction)
class PredictionAdmin(ReadOnlyModelAdmin):
    """The AI's opinions. Whoever must still read a case blindly does not find its opinion here either."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "scan", "model_version", "state", "label", "tumour_probability", "finished_at")
    list_select_related = ("scan", "model_version")
    list_filter = (by_institution("scan__institution", Permission.SEE_SCANS), "state", "model_version")
    search_fields = ("=id", "=scan__id", "=scan__sha256")
    fields = fields_of(Prediction, without=("fence", "heatmap"))

    def visible(self, user: Actor) -> "QuerySet[Prediction]":
        return predictions_for(user).filter(Q(blinded=False))


@admin.register(Case)
class CaseAdmin(ReadOnlyModelAdmin):
    """Scans as work."""

    sees = Permission.SEE_SCANS
    list_display = ("__str__", "scan", "institution", "priority", "state", "stage", "opened_at", "done_at")
    list_select_related = ("scan", "institution")
    list_filter = (by_institution("institution", Permission.SEE_SCANS), "state", "stage", "priority")
    search_fields = ("=id", "=scan__id")
    # Why a case has a second reader may tell what the AI thinks; which one is a control is told after it is read.
    fields = fields_of(Case, without=("second_read", "control"))

    def visible(self, user: Actor) -> "QuerySet[Case]":
        return Case.objects.visible_to(user)


@admin.register(Claim)
class ClaimAdmin(ReadOnlyModelAdmin):
    """Who held which case when. The token that must come with a read is shown to nobody."""

    sees = Permission.SEE_READS
    list_display = ("__str__", "case", "stage", "holder", "claimed_at", "expires_at", "release")
    list_select_related = ("case", "holder")
    list_filter = (by_institution("case__institution", Permission.SEE_READS), "release")
    search_fields = ("=case__id", "holder__username")
    fields = fields_of(Claim, without=("token",))

    def visible(self, user: Actor) -> "QuerySet[Claim]":
        return Claim.objects.filter(case__institution__in=institutions_where(user, Permission.SEE_READS))


@admin.register(Read)
class ReadAdmin(ReadOnlyModelAdmin):
    """What readers stated, as far as one may see it."""

    sees = Permission.SEE_READS
    list_display = ("__str__", "case", "reader", "kind", "revision", "label", "certainty", "may_train", "created_at")
    list_select_related = ("case", "reader")
    list_filter = (by_institution("case__institution", Permission.SEE_READS), "kind", "label", "may_train", "adopted")
    search_fields = ("=case__id", "reader__username")

    def visible(self, user: Actor) -> "QuerySet[Read]":
        return reads_for(user)


@admin.register(Annotation)
class AnnotationAdmin(ReadOnlyModelAdmin):
    """Marks on images, every revision, as far as one may see them."""

    sees = Permission.SEE_READS
    list_display = ("__str__", "case", "author", "kind", "revision", "withdrawn", "created_at")
    list_select_related = ("case", "author")
    list_filter = (by_institution("case__institution", Permission.SEE_READS), "kind", "withdrawn")
    search_fields = ("=case__id", "=mark", "author__username")

    def visible(self, user: Actor) -> "QuerySet[Annotation]":
        return annotations_for(user)


@admin.register(Control)
class ControlAdmin(ReadOnlyModelAdmin):
    """Control cases that were read. One that waits stands in no list, for its reader may be whoever looks."""

    sees = Permission.SEE_READS
    list_display = ("__str__", "case", "source", "truth", "institution", "created_at")
    list_select_related = ("case", "source", "institution")
    list_filter = (by_institution("institution", Permission.SEE_READS), "truth")
    search_fields = ("=case__id", "=source__id")

    def visible(self, user: Actor) -> "QuerySet[Control]":
        theirs = institutions_where(user, Permission.SEE_READS)
        return Control.objects.filter(institution__in=theirs, case__state=CaseState.DONE)


@admin.register(Comment)
class CommentAdmin(ReadOnlyModelAdmin):
    """What readers and adjudicators tell each other; while a case is open only for whoever reads no cases there."""

    sees = Permission.SEE_READS
    list_display = ("__str__", "case", "author", "to", "kind", "created_at")
    list_select_related = ("case", "author", "to")
    list_filter = (by_institution("case__institution", Permission.SEE_READS), "kind")
    search_fields = ("=case__id", "author__username")

    def visible(self, user: Actor) -> "QuerySet[Comment]":
        return comments_for(user)
