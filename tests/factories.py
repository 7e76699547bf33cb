"""Rows for tests, in the states that services leave them in. Images are phantoms drawn here: nobody's head."""

import hashlib
import io
import uuid
from datetime import timedelta
from typing import Any

import factory
import numpy as np
from django.utils import timezone
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

from diagnostics.annotations.models import Annotation
from diagnostics.cases.models import Case, CaseState
from diagnostics.datasets.models import DatasetVersion
from diagnostics.predictions.analysis_status import sync
from diagnostics.predictions.models import Prediction, PredictionState
from diagnostics.predictions.services import status_of
from diagnostics.registry.models import ModelState, ModelVersion
from diagnostics.reviews.models import Certainty, Claim, Label, Read, ReadKind
from diagnostics.reviews.worklist import place_of
from diagnostics.scans import intake
from diagnostics.scans import services as scans
from diagnostics.scans.access import Role
from diagnostics.scans.models import (
    Institution,
    Membership,
    ModelAdministrator,
    Patient,
    Priority,
    ReadingMode,
    Scan,
    Study,
)
from diagnostics.scans.series import Series
from diagnostics.training.models import ACTIVE, TrainingRun, TrainingState
from portal.accounts.models import User

PASSWORD = "a sentence for tests 42"
SPEC = {
    "architecture": "seed_cnn",
    "channels": 3,
    "leaves": ["no_tumour", "tumour"],
    "name": "toy",
    "preprocess_version": "1",
    "size": 16,
    "temperature": 1.0,
    "threshold": 0.5,
}


def phantom(seed: int = 0, side: int = 64, file_format: str = "PNG") -> bytes:
    """The bytes of a picture of an egg with a bright spot: different for each seed, and like a head to the eye."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    skull = (x / 0.72) ** 2 + (y / 0.88) ** 2
    image = np.where(skull < 1, 105.0, 4.0)
    image[(skull > 0.86) & (skull < 1)] = 225
    for side_of in (-1, 1):
        image[((x - 0.14 * side_of) / 0.09) ** 2 + ((y + 0.05) / 0.3) ** 2 < 1] = 40
    centre_x, centre_y = rng.uniform(-0.35, 0.35, 2)
    radius = rng.uniform(0.07, 0.16)
    image[(x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2] = 190
    image += rng.normal(0, 7, image.shape)
    out = io.BytesIO()
    Image.fromarray(image.clip(0, 255).astype("uint8")).save(out, format=file_format)
    return out.getvalue()


def volume(frames: int, side: int = 64) -> bytes:
    """The bytes of a DICOM file of so many phantoms, the first of them the zeroth."""
    pictures = [np.asarray(Image.open(io.BytesIO(phantom(seed, side)))) for seed in range(frames)]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["volume", str(frames)])
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "MR", "MONOCHROME2", 1
    made.Rows = made.Columns = side
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation, made.NumberOfFrames = 7, 0, frames
    made.PixelData = b"".join(picture.tobytes() for picture in pictures)
    made["PixelData"].VR = "OB"
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


class InstitutionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Institution

    code = factory.Sequence(lambda n: f"clinic-{n}")
    name = factory.Sequence(lambda n: f"Clinic {n}")
    reading_mode = ReadingMode.BLIND_FIRST


class UserFactory(factory.django.DjangoModelFactory):
    """A person without any role; :func:`person` gives one with. The password is ``PASSWORD``."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    email = factory.LazyAttribute(lambda row: f"{row.username}@example.org")
    password = factory.django.Password(PASSWORD)


def person(role: Role | str, institution: Institution, **fields: Any) -> User:
    """Somebody who has ``role`` in ``institution``."""
    user = UserFactory(**fields)
    MembershipFactory(user=user, institution=institution, role=role)
    return user


def answers_for_the_model(user: User) -> User:
    """Make ``user`` a model administrator: where there are several institutions, nobody else changes the model."""
    ModelAdministrator.objects.create(user=user)
    return user


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    user = factory.SubFactory(UserFactory)
    institution = factory.SubFactory(InstitutionFactory)
    role = Role.RADIOLOGIST


class PatientFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Patient

    institution = factory.SubFactory(InstitutionFactory)
    pseudonym = factory.Sequence(lambda n: f"P-{n:04}")


class StudyFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Study

    patient = factory.SubFactory(PatientFactory)
    accession = factory.Sequence(lambda n: f"ACC-{n:05}")
    date = factory.LazyFunction(lambda: timezone.localdate() - timedelta(days=1))


class ScanFactory(factory.django.DjangoModelFactory):
    """A stored scan with its three files. ``ScanFactory(institution=…)`` files patient and study there as well.

    Without prediction or case: ``PredictionFactory(scan=…)`` and ``CaseFactory(scan=…)`` add them.
    """

    class Meta:
        model = Scan

    class Params:
        seed = factory.Sequence(lambda n: n)

    data = factory.LazyAttribute(lambda row: phantom(row.seed))
    institution = factory.SubFactory(InstitutionFactory)
    patient = factory.SubFactory(PatientFactory, institution=factory.SelfAttribute("..institution"))
    study = factory.SubFactory(StudyFactory, patient=factory.SelfAttribute("..patient"))
    uploaded_by = factory.SubFactory(UserFactory)
    analysis = factory.LazyAttribute(lambda row: "rejected" if getattr(row, "rejected_code", "") else None)
    priority = Priority.ROUTINE
    source = Scan.Source.PORTAL

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Scan:
        taken = intake.ingest(kwargs.pop("data"))
        keys = scans.keep_files(kwargs["institution"], taken)
        facts = {
            "sha256": taken.sha256,
            "size_bytes": len(taken.original),
            "format": taken.format,
            "width": taken.width,
            "height": taken.height,
            "bits": taken.bits,
            "frames": taken.frames,
            "fingerprint": taken.fingerprint,
        }
        scan = super()._create(model_class, *args, **{**facts, **keys, **kwargs})
        scans.add_only_image(scan)
        return scan


def grown_to(scan: Scan, count: int) -> Scan:
    """The scan as a stack of so many images, which all show the same."""
    first = scan.images.get()
    for index in range(1, count):
        first.pk, first.index, first.sha256 = None, index, uuid.uuid4().hex * 2
        first.save()
    Scan.objects.filter(pk=scan.pk).update(image_count=count)
    scan.refresh_from_db()
    return scan


class ModelVersionFactory(factory.django.DjangoModelFactory):
    """A registered candidate. ``state=ModelState.LIVE`` for one in use, ``CHALLENGER`` for one in the shadow.

    Its weights exist only as a hash.
    """

    class Meta:
        model = ModelVersion

    number = factory.LazyFunction(lambda: (ModelVersion.objects.values_list("number", flat=True).first() or 0) + 1)
    name = "toy"
    sha256 = factory.LazyFunction(lambda: hashlib.sha256(uuid.uuid4().bytes).hexdigest())
    architecture = "seed_cnn"
    state = ModelState.CANDIDATE
    challenged_at = factory.LazyAttribute(lambda each: timezone.now() if each.state == ModelState.CHALLENGER else None)
    spec = factory.LazyFunction(lambda: dict(SPEC))


def live_model() -> ModelVersion:
    """The model in use; made where there is none."""
    found = ModelVersion.objects.filter(state=ModelState.LIVE).first()
    return found or ModelVersionFactory(state=ModelState.LIVE)


class PredictionFactory(factory.django.DjangoModelFactory):
    """A finished opinion of the live model. ``queued``, ``running``, ``failed`` for the other states."""

    class Meta:
        model = Prediction

    class Params:
        p = 0.94
        queued = factory.Trait(
            state=PredictionState.QUEUED,
            finished_at=None,
            label="",
            finding="",
            probabilities=None,
            tumour_probability=None,
        )
        running = factory.Trait(
            state=PredictionState.RUNNING,
            fence=factory.LazyFunction(uuid.uuid4),
            lease_until=factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=1)),
            attempts=1,
            finished_at=None,
            label="",
            finding="",
            probabilities=None,
            tumour_probability=None,
        )
        failed = factory.Trait(
            state=PredictionState.FAILED,
            failure_code="broken",
            failure="The analysis broke off. Retry it.",
            label="",
            finding="",
            probabilities=None,
            tumour_probability=None,
        )

    scan = factory.SubFactory(ScanFactory)
    model_version = factory.LazyFunction(live_model)
    state = PredictionState.READY
    finished_at = factory.LazyFunction(timezone.now)
    tumour_probability = factory.SelfAttribute("p")
    finding = factory.LazyAttribute(lambda row: "tumour" if row.p >= 0.5 else "no_tumour")
    label = factory.LazyAttribute(lambda row: row.finding)
    probabilities = factory.LazyAttribute(lambda row: {"tumour": row.p, "no_tumour": 1 - row.p})

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Prediction:
        with sync([kwargs["scan"].pk]):
            return super()._create(model_class, *args, **kwargs)


class CaseFactory(factory.django.DjangoModelFactory):
    """An open case of a scan."""

    class Meta:
        model = Case

    class Params:
        done = factory.Trait(state=CaseState.DONE, done_at=factory.LazyFunction(timezone.now))

    scan = factory.SubFactory(ScanFactory)
    institution = factory.SelfAttribute("scan.institution")
    study = factory.LazyAttribute(lambda row: row.scan.study if row.scan.series_id else None)
    priority = factory.SelfAttribute("scan.priority")
    due_at = factory.LazyAttribute(lambda row: place_of(row.institution, row.priority)["due_at"])
    lane = factory.LazyAttribute(lambda row: place_of(row.institution, row.priority)["lane"])
    turn = factory.LazyAttribute(lambda row: place_of(row.institution, row.priority)["turn"])
    analysis = factory.LazyAttribute(lambda row: status_of(row.scan))


def cases_of_study(place: Institution, stacks: int = 3, **more: Any) -> list[Case]:
    """A DICOM study of so many series, each a stack with an open case, in the order of their numbers."""
    uid = f"2.25.{uuid.uuid4().int}"
    study = StudyFactory(patient=PatientFactory(institution=place), institution=place, uid=uid)
    cases = []
    for number in range(1, stacks + 1):
        series = Series.objects.create(
            institution=place,
            study=study,
            uid=f"{uid[:50]}.{number}",
            number=number,
            modality="MR",
            sequence=("T1", "T2", "FLAIR", "T1ce")[number % 4],
            plane="axial",
            arrival="complete",
            close_at=timezone.now(),
            closed_at=timezone.now(),
        )
        scan = ScanFactory(institution=place, patient=study.patient, study=study, series=series, **more)
        cases.append(CaseFactory(scan=scan))
    return cases


class ClaimFactory(factory.django.DjangoModelFactory):
    """A live claim by a radiologist of the case's institution. ``ended`` for one that led to a final read."""

    class Meta:
        model = Claim

    class Params:
        ended = factory.Trait(released_at=factory.LazyFunction(timezone.now), release="done")

    case = factory.SubFactory(CaseFactory)
    holder = factory.LazyAttribute(lambda row: person(Role.RADIOLOGIST, row.case.institution))
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=30))


class ReadFactory(factory.django.DjangoModelFactory):
    """A blind read under a live claim. ``final`` for one that ended its case; give both the same ``case`` and
    ``reader`` to have a pair."""

    class Meta:
        model = Read

    class Params:
        final = factory.Trait(
            kind=ReadKind.FINAL,
            case=factory.SubFactory(CaseFactory, done=True),
            claim=factory.LazyAttribute(lambda row: ClaimFactory(case=row.case, holder=row.reader, ended=True)),
        )

    case = factory.SubFactory(CaseFactory)
    reader = factory.LazyAttribute(lambda row: person(Role.RADIOLOGIST, row.case.institution))
    claim = factory.LazyAttribute(lambda row: ClaimFactory(case=row.case, holder=row.reader))
    kind = ReadKind.BLIND
    mode = factory.SelfAttribute("case.institution.reading_mode")
    label = Label.TUMOUR
    certainty = Certainty.CERTAIN
    seconds = 41


class AnnotationFactory(factory.django.DjangoModelFactory):
    """A length that a radiologist has drawn on an image without pixel spacing."""

    class Meta:
        model = Annotation

    mark = factory.LazyFunction(uuid.uuid4)
    revision = 1
    case = factory.SubFactory(CaseFactory)
    author = factory.LazyAttribute(lambda row: person(Role.RADIOLOGIST, row.case.institution))
    kind = "length"
    points = factory.LazyFunction(lambda: [[10.0, 10.0], [40.0, 50.0]])


class DatasetVersionFactory(factory.django.DjangoModelFactory):
    """A frozen version of one institution, without items: ``DatasetVersionFactory(institution=…)``."""

    class Meta:
        model = DatasetVersion
        skip_postgeneration_save = True

    number = factory.LazyFunction(lambda: (DatasetVersion.objects.values_list("number", flat=True).first() or 0) + 1)
    sha256 = factory.LazyFunction(lambda: hashlib.sha256(uuid.uuid4().bytes).hexdigest())
    manifest = factory.LazyAttribute(lambda row: f"datasets/{row.sha256}.jsonl")
    frozen_at = factory.LazyFunction(timezone.now)
    created_by = factory.SubFactory(UserFactory)

    @factory.post_generation
    def institution(self, create: bool, given: Institution | None, **_: Any) -> None:
        if create:
            self.institutions.add(given or InstitutionFactory())


class TrainingRunFactory(factory.django.DjangoModelFactory):
    """A queued run; ``state`` for another one (a succeeded one gets its model, a failed one its reason)."""

    class Meta:
        model = TrainingRun

    number = factory.LazyFunction(lambda: (TrainingRun.objects.values_list("number", flat=True).first() or 0) + 1)
    dataset = factory.SubFactory(DatasetVersionFactory)
    config = factory.LazyFunction(lambda: {"epochs": 1, "seed": 0})
    state = TrainingState.QUEUED
    active = factory.LazyAttribute(lambda row: True if row.state in ACTIVE else None)
    produced = factory.LazyAttribute(
        lambda row: ModelVersionFactory() if row.state == TrainingState.SUCCEEDED else None
    )
    failure = factory.LazyAttribute(
        lambda row: "The loss was not a number." if row.state == TrainingState.FAILED else ""
    )
    created_by = factory.SubFactory(UserFactory)
