"""What must always be true, and a try to break each."""

import uuid

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnostics.audit.models import AuditEvent, AuditIsAppendOnly
from diagnostics.audit.services import NotInTransaction, record
from diagnostics.models import Case, Claim, Membership, ModelVersion, Patient, Prediction, Promotion, Read, Scan, Study
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    InstitutionFactory,
    MembershipFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    StudyFactory,
    UserFactory,
    live_model,
)

pytestmark = pytest.mark.django_db
NOW = timezone.now


def again(factory, row, *fields):
    """A second row with the same values in ``fields``."""
    return factory(**{field: getattr(row, field) for field in fields})


BROKEN = {
    "one scan per content": lambda: again(ScanFactory, ScanFactory(), "institution", "patient", "study", "sha256"),
    "rejection has a reason": lambda: ScanFactory(rejected_code="blank"),
    "a scan is a frame": lambda: ScanFactory(frames=0),
    "one patient per pseudonym": lambda: again(PatientFactory, PatientFactory(), "institution", "pseudonym"),
    "one study per accession": lambda: again(StudyFactory, StudyFactory(), "patient", "accession"),
    "one study per date": lambda: again(StudyFactory, StudyFactory(accession=""), "patient", "accession", "date"),
    "one undated study": lambda: again(
        StudyFactory, StudyFactory(accession="", date=None), "patient", "accession", "date"
    ),
    "one membership per role": lambda: again(MembershipFactory, MembershipFactory(), "user", "institution", "role"),
    "known roles": lambda: MembershipFactory(role="king"),
    "one live model": lambda: (live_model(), ModelVersionFactory(state="live")),
    "one previous model": lambda: [ModelVersionFactory(state="previous") for _ in range(2)],
    "one challenger": lambda: [ModelVersionFactory(state="challenger") for _ in range(2)],
    "one model per weights": lambda: again(ModelVersionFactory, ModelVersionFactory(), "sha256"),
    "a promotion has a person": lambda: Promotion.objects.create(
        version=ModelVersionFactory(), kind="promote", reason="Better."
    ),
    "a promotion has a reason": lambda: Promotion.objects.create(
        version=ModelVersionFactory(), kind="promote", by=UserFactory(), reason=""
    ),
    "one prediction per model": lambda: again(PredictionFactory, PredictionFactory(), "scan", "model_version"),
    "ready means a result": lambda: PredictionFactory(probabilities=None),
    "ready means when": lambda: PredictionFactory(finished_at=None),
    "queued has no result": lambda: PredictionFactory(state="queued"),
    "failed means a reason": lambda: PredictionFactory(failed=True, failure=""),
    "running means a lease": lambda: PredictionFactory(running=True, lease_until=None),
    "a probability is one": lambda: PredictionFactory(tumour_probability=1.5),
    "one open case per scan": lambda: again(CaseFactory, CaseFactory(), "scan"),
    "done means when": lambda: CaseFactory(state="done"),
    "one live claim per stage": lambda: again(ClaimFactory, ClaimFactory(), "case"),
    "a release has how and when": lambda: ClaimFactory(released_at=NOW()),
    "a blind read is blind": lambda: ReadFactory(heatmap_seen=True),
    "a blind read has seen no opinion": lambda: ReadFactory(prediction=PredictionFactory()),
    "known labels": lambda: ReadFactory(label="lemon"),
    "known sides": lambda: ReadFactory(laterality="above"),
    "only a tumour has a side": lambda: ReadFactory(label="no_tumour", laterality="left"),
    "other says what": lambda: ReadFactory(final=True, reason="other"),
    "one read per revision": lambda: again(ReadFactory, ReadFactory(), "case", "claim", "reader", "kind"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_database_refuses_to_break(what):
    with pytest.raises(IntegrityError), transaction.atomic():
        BROKEN[what]()


def test_audit_event_is_never_edited_or_deleted():
    with transaction.atomic():
        event = record(by=None, act="scan_stored", target=ScanFactory())
    event.act = "nothing_happened"
    with pytest.raises(AuditIsAppendOnly):
        event.save()
    with pytest.raises(AuditIsAppendOnly):
        event.delete()
    assert AuditEvent.objects.get().act == "scan_stored"


@pytest.mark.django_db(transaction=True)
def test_audit_event_outside_its_acts_transaction_is_refused():
    with pytest.raises(NotInTransaction):
        record(by=None, act="scan_stored", target=ScanFactory())
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("model", [Case, Claim, Patient, Prediction, Read, Scan, Study, ModelVersion])
def test_ids_cannot_be_guessed(model):
    assert isinstance(model._meta.pk.get_default(), uuid.UUID)


def test_person_with_scans_cannot_be_deleted():
    from django.db.models import ProtectedError

    scan = ScanFactory(institution=InstitutionFactory())
    with pytest.raises(ProtectedError):
        scan.uploaded_by.delete()
    assert Membership.objects.count() == 0 and Scan.objects.exists()
