"""Which priors are wanted, and which studies are here as such. Nothing of DICOM is loaded."""

import secrets
from datetime import timedelta

from django.utils import timezone

from diagnostics.jobs.retried import JobState
from diagnostics.scans.models import Study

from .models import DicomPeer, PriorSearch, PriorStudy

# What was requested may still be on its way when the archive has said that it is done.
STILL_COMING = timedelta(minutes=30)


def want_priors(study: Study) -> int:
    """Queue the questions to the archives of the study's institution, in the caller's transaction; how many are new.

    Priors have no priors of their own.
    """
    if study.patient.is_synthetic or not study.uid or is_prior(study):
        return 0
    new = 0
    for peer in DicomPeer.objects.filter(institution=study.institution_id, active=True, is_asked_for_priors=True):
        _row, made = PriorSearch.objects.get_or_create(
            peer=peer,
            study=study,
            defaults={"institution_id": study.institution_id, "message": secrets.randbelow(0xFFFF) + 1},
        )
        new += made
    return new


def is_prior(study: Study) -> bool:
    """Whether the study is here only because we requested it."""
    return PriorStudy.objects.filter(pk=study.pk).exists()


def search_of(peer: DicomPeer, message: int) -> PriorSearch | None:
    """The search for which a peer sends an image, by the message that it names; None where it is none of ours."""
    lately = timezone.now() - STILL_COMING
    rows = PriorSearch.objects.filter(peer=peer, message=message)
    row = rows.order_by("-created_at").first()
    begun = row is not None and (row.state != JobState.WAITING or row.tries > 0)
    if row is None or not begun:
        return None
    return row if row.finished_at is None or row.finished_at > lately else None


def came_as_prior(search: PriorSearch, study: Study) -> bool:
    """Note that a study came because we requested it; whether it did. One that was here before stays what it was."""
    if study.institution_id != search.institution_id or study.created_at < search.created_at:
        return False
    if study.pk == search.study_id or study.scans.filter(cases__isnull=False).exists():
        return False
    PriorStudy.objects.get_or_create(study=study, defaults={"search": search, "institution_id": study.institution_id})
    return True
