"""A dataset version holds what may train, parts nothing that belongs together, and what was test never trains."""

import hashlib
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import IntegrityError, transaction

from diagnostics.datasets import services
from diagnostics.models import AuditEvent, DatasetItem, DatasetVersion, Scan
from diagnostics.scans.access import NotAllowed, Role
from tests.factories import CaseFactory, InstitutionFactory, PatientFactory, ReadFactory, ScanFactory, person

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    settings.STORAGES = settings.STORAGES | {
        name: {
            "BACKEND": "diagnostics.scans.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": tmp_path / name, "allow_overwrite": True},
        }
        for name in ("default", "artifacts")
    }


def look(seed: int) -> bytes:
    """A fingerprint that resembles no other."""
    return np.random.default_rng(seed).integers(0, 256, 1024, dtype=np.uint8).tobytes()


def near(seed: int, noise: float = 6.0) -> bytes:
    """A fingerprint of nearly the same picture as ``look(seed)``."""
    picture = np.frombuffer(look(seed), np.uint8).astype(float)
    return (
        (picture + np.random.default_rng(seed + 10**6).normal(0, noise, 1024)).clip(0, 255).astype(np.uint8).tobytes()
    )


_DATA = [0]


def scan(institution, label="", **fields):
    """An imported scan with a reference label, like no other unless ``fingerprint`` says so."""
    _DATA[0] += 1
    number = _DATA[0]
    fields.setdefault("fingerprint", look(number))
    patient = fields.pop("patient", None) or PatientFactory(institution=institution)
    return ScanFactory(
        institution=institution,
        patient=patient,
        sha256=fields.pop("sha256", hashlib.sha256(str(number).encode()).hexdigest()),
        source=fields.pop("source", Scan.Source.IMPORT),
        reference_label=label,
        **fields,
    )


def enough(institution, each=8):
    """So many scans of either kind that they can be split."""
    return [scan(institution, label) for label in ("tumour", "no_tumour") for _ in range(each)]


def parts(version) -> dict:
    return dict(version.items.values_list("scan_id", "split"))


@pytest.mark.django_db
def test_freeze_makes_a_manifest_that_mlcore_and_people_can_check(north, keeper):
    scans = enough(north)
    version = services.freeze(by=keeper, institutions=[north])
    content = services.manifest(version)
    assert hashlib.sha256(content).hexdigest() == version.sha256
    rows = [json.loads(line) for line in content.decode().splitlines()]
    assert {row["scan"] for row in rows} == {str(each.pk) for each in scans}
    assert {row["scan"]: row["split"] for row in rows} == {str(pk): part for pk, part in parts(version).items()}
    first = rows[0]
    stored = Scan.objects.get(pk=first["scan"])
    assert (first["sha256"], first["path"]) == (stored.sha256, stored.original)
    assert (first["label_source"], first["source"]) == ("imported", f"site-{north.pk}")
    assert rows == sorted(rows, key=lambda row: (row["sha256"], row["scan"]))
    assert north.name not in content.decode() and stored.patient.pseudonym not in content.decode()
    assert version.counts["scans"] == 16
    assert version.counts["by_label"] == {"no_tumour": 8, "tumour": 8}
    assert set(version.counts["by_split"]) == {"train", "validation", "test"}
    event = AuditEvent.objects.get(act="dataset_frozen")
    assert (event.institution, event.actor, event.detail["sha256"]) == (north, keeper, version.sha256)


@pytest.mark.django_db
def test_plan_changes_nothing_and_says_what_freezing_then_makes(north, keeper):
    enough(north)
    planned = services.plan(by=keeper, institutions=[north])
    assert not DatasetVersion.objects.exists()
    version = services.freeze(by=keeper, institutions=[north])
    assert (version.sha256, version.counts) == (planned.sha256, planned.counts)


@pytest.mark.django_db
def test_the_same_scans_in_another_order_make_the_same_manifest(north, keeper):
    enough(north)
    before = services.plan(by=keeper, institutions=[north]).manifest
    Scan.objects.update(updated_at="2001-01-01T00:00Z")
    assert services.plan(by=keeper, institutions=[north]).manifest == before
    assert services.plan(by=keeper, institutions=[north], seed=1).manifest != before


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({"label": "no_tumour", "may_train": True}, ("no_tumour", "read")),
        ({"label": "glioma", "may_train": True, "adopted": True}, ("glioma", "adopted")),
        ({"label": "glioma", "may_train": False}, "may_not_train"),
        ({"label": "not_assessable", "may_train": True}, "not_judged"),
        ({"label": "out_of_scope", "may_train": True}, "not_judged"),
    ],
)
def test_freeze_lets_the_final_read_decide_over_the_imported_label(north, keeper, read, expected):
    enough(north)
    judged = scan(north, "tumour")
    ReadFactory(final=True, case=CaseFactory(scan=judged, done=True), **read)
    version = services.freeze(by=keeper, institutions=[north])
    item = version.items.filter(scan=judged).first()
    if isinstance(expected, tuple):
        assert (item.label, item.label_source) == expected
        assert item.read.label == expected[0]
    else:
        assert item is None
        assert version.counts["left_out"] == {expected: 1}


@pytest.mark.django_db
def test_freeze_takes_the_amended_read(north, keeper):
    enough(north)
    judged = scan(north)
    first = ReadFactory(final=True, case=CaseFactory(scan=judged, done=True), label="tumour", may_train=True)
    ReadFactory(
        kind="final",
        case=first.case,
        reader=first.reader,
        claim=first.claim,
        label="no_tumour",
        revision=2,
        may_train=True,
        comment="looked again",
    )
    version = services.freeze(by=keeper, institutions=[north])
    assert version.items.get(scan=judged).label == "no_tumour"


@pytest.mark.django_db
def test_freeze_leaves_out_blind_reads_rejected_scans_and_phantoms(north, keeper):
    enough(north)
    blind = scan(north)
    ReadFactory(case=CaseFactory(scan=blind), label="tumour", may_train=True)
    scan(north, "tumour", rejected_code="blank", rejected_reason="The image is blank.")
    phantom = scan(north, "tumour", source=Scan.Source.DEMO)
    version = services.freeze(by=keeper, institutions=[north])
    assert version.counts["left_out"] == {"demo": 1, "rejected": 1, "unlabelled": 1}
    asked = services.plan(by=keeper, institutions=[north], include_demo=True)
    assert phantom.pk in {each.labelled.scan for each in asked.items}


@pytest.mark.django_db
def test_freeze_without_imported_labels_takes_reads_only(north, keeper):
    enough(north)
    assert "No labels yet" in services.plan(by=keeper, institutions=[north], include_imported=False).problem


@pytest.mark.django_db
def test_freeze_parts_neither_patients_nor_look_alikes(north, keeper):
    for label in ("tumour", "no_tumour"):
        for group in range(10):
            patient = PatientFactory(institution=north)
            seed = 5000 + group + (100 if label == "tumour" else 0)
            scan(north, label, patient=patient, fingerprint=look(seed))
            scan(north, label, patient=patient)
            # A twin of the first under another patient's name.
            scan(north, label, fingerprint=near(seed))
    version = services.freeze(by=keeper, institutions=[north])
    assert version.counts["groups"] == 20
    sides = defaultdict(set)
    for item in version.items.select_related("scan"):
        sides["patient", item.scan.patient_id].add(item.split)
        sides["group", item.group].add(item.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {len(list(version.items.filter(group=group))) for kind, group in sides if kind == "group"} == {3}


@pytest.mark.django_db
def test_freeze_counts_and_lists_look_alikes_whose_labels_cannot_both_be_right(north, keeper):
    enough(north)
    one = scan(north, "tumour", fingerprint=look(9001))
    other = scan(north, "no_tumour", fingerprint=near(9001))
    scan(north, "tumour", fingerprint=look(9002))
    scan(north, "glioma", fingerprint=near(9002))  # a tumour whose type is known: no conflict
    counts = services.freeze(by=keeper, institutions=[north]).counts
    assert counts["conflicts"] == 1
    assert {row["scan"] for row in counts["conflicts_listed"][0]} == {str(one.pk), str(other.pk)}


@pytest.mark.django_db
def test_freeze_again_keeps_the_test_part_and_gives_it_nothing_new(north, keeper):
    enough(north)
    first = services.freeze(by=keeper, institutions=[north])
    tested = [pk for pk, part in parts(first).items() if part == "test"]
    sibling = scan(north, "tumour", patient=Scan.objects.get(pk=tested[0]).patient)
    fresh = enough(north, each=20)
    second = services.freeze(by=keeper, institutions=[north])
    found = parts(second)
    assert {pk for pk, part in found.items() if part == "test"} == set(tested)
    assert sibling.pk not in found
    assert second.counts["left_out"] == {"held_back": 1}
    assert {found[each.pk] for each in fresh} == {"train", "validation"}
    assert all(found[pk] == part for pk, part in parts(first).items())


@pytest.mark.django_db
def test_freeze_keeps_twins_of_a_withdrawn_test_scan_from_training(north, keeper):
    enough(north)
    first = services.freeze(by=keeper, institutions=[north])
    gone = first.items.filter(split="test", label="tumour").first().scan
    ReadFactory(final=True, case=CaseFactory(scan=gone, done=True), label="tumour", may_train=False)
    twin = scan(north, "tumour", fingerprint=bytes(gone.fingerprint))
    enough(north, each=2)
    planned = services.plan(by=keeper, institutions=[north])
    assert {gone.pk, twin.pk} & {each.labelled.scan for each in planned.items} == set()


@pytest.mark.django_db
def test_freeze_takes_no_scan_into_test_that_has_trained(north, keeper):
    enough(north)
    first = services.freeze(by=keeper, institutions=[north])
    trained = first.items.filter(split="train").first().scan
    tested = first.items.filter(split="test").first().scan
    # Only now does it turn out that the two show the same head.
    Scan.objects.filter(pk=trained.pk).update(fingerprint=bytes(tested.fingerprint))
    enough(north, each=1)
    second = services.freeze(by=keeper, institutions=[north])
    assert trained.pk not in parts(second)
    assert parts(second)[tested.pk] == "test"


@pytest.mark.django_db
def test_freeze_draws_a_test_part_for_an_institution_that_is_new_to_the_lineage(north, keeper):
    enough(north)
    services.freeze(by=keeper, institutions=[north])
    south = InstitutionFactory(code="south")
    enough(south)
    version = services.freeze(by=person(Role.DATA_MANAGER, south), institutions=[south])
    assert version.counts["by_split"].keys() == {"train", "validation", "test"}


@pytest.mark.django_db
def test_another_lineage_draws_its_own_test_part(north, keeper):
    enough(north, each=20)
    first = services.freeze(by=keeper, institutions=[north])
    other = services.freeze(by=keeper, institutions=[north], lineage="second", seed=7)
    assert parts(first) != parts(other)


@pytest.mark.django_db
def test_freeze_unchanged_is_refused_and_names_the_version_to_use(north, keeper):
    enough(north)
    services.freeze(by=keeper, institutions=[north])
    with pytest.raises(services.NotFreezable, match="Nothing has changed since dataset v1"):
        services.freeze(by=keeper, institutions=[north])
    assert DatasetVersion.objects.count() == 1


@pytest.mark.django_db
def test_freeze_of_nothing_says_what_to_do(north, keeper):
    with pytest.raises(services.NotFreezable, match="No scans yet in North.*import_folder"):
        services.freeze(by=keeper, institutions=[north])
    with pytest.raises(services.NotFreezable, match="at least one institution"):
        services.freeze(by=keeper, institutions=[])


@pytest.mark.django_db
def test_freeze_of_one_class_says_which_is_missing(north, keeper):
    for _ in range(8):
        scan(north, "glioma")
    with pytest.raises(services.NotFreezable, match="Scans without a tumour are needed"):
        services.freeze(by=keeper, institutions=[north])


@pytest.mark.django_db
def test_freeze_of_too_few_independent_scans_says_how_many_are_needed(north, keeper):
    patient = PatientFactory(institution=north)
    for _ in range(9):
        scan(north, "no_tumour", patient=patient)
        scan(north, "tumour")
    with pytest.raises(services.NotFreezable, match="1 independent group without a tumour.*3 needed"):
        services.freeze(by=keeper, institutions=[north])
    assert not DatasetVersion.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.ADJUDICATOR])
def test_freeze_needs_the_permission(north, role):
    enough(north)
    with pytest.raises(NotAllowed):
        services.freeze(by=person(role, north), institutions=[north])


@pytest.mark.django_db
def test_freeze_of_a_foreign_institution_is_refused_whole(north, keeper):
    enough(north)
    foreign = InstitutionFactory()
    with pytest.raises(NotAllowed):
        services.freeze(by=keeper, institutions=[north, foreign])
    assert not DatasetVersion.objects.exists()


@pytest.mark.django_db
def test_a_version_that_spans_a_foreign_institution_is_invisible(north, keeper):
    south = InstitutionFactory(code="south")
    enough(north)
    enough(south)
    both = person(Role.DATA_MANAGER, north)
    both.memberships.create(institution=south, role=Role.DATA_MANAGER)
    version = services.freeze(by=both, institutions=[north, south])
    assert DatasetVersion.objects.visible_to(both).get() == version
    assert not DatasetVersion.objects.visible_to(keeper).exists()


@pytest.mark.django_db
def test_manifest_that_was_altered_or_lost_is_refused(north, keeper):
    enough(north)
    version = services.freeze(by=keeper, institutions=[north])
    storages["artifacts"].delete(version.manifest)
    with pytest.raises(services.ManifestDamaged, match="missing"):
        services.manifest(version)
    storages["artifacts"].save(version.manifest, ContentFile(b"{}\n"))
    with pytest.raises(services.ManifestDamaged, match="changed after freezing"):
        services.manifest(version)


@pytest.mark.django_db
def test_database_refuses_a_frozen_version_without_a_hash(keeper):
    with pytest.raises(IntegrityError), transaction.atomic():
        DatasetVersion.objects.create(number=1, created_by=keeper, frozen_at="2026-01-01T00:00Z")


@pytest.mark.django_db
@pytest.mark.parametrize(("source", "with_read"), [("imported", True), ("read", False)])
def test_database_refuses_a_label_without_its_source(north, keeper, source, with_read):
    enough(north)
    version = services.freeze(by=keeper, institutions=[north])
    judged = scan(north)
    read = ReadFactory(final=True, case=CaseFactory(scan=judged, done=True)) if with_read else None
    with pytest.raises(IntegrityError), transaction.atomic():
        DatasetItem.objects.create(
            dataset=version, scan=judged, read=read, label="tumour", label_source=source, group="g", split="train"
        )


@pytest.mark.django_db
def test_database_refuses_a_scan_twice_in_a_version(north, keeper):
    enough(north)
    version = services.freeze(by=keeper, institutions=[north])
    item = version.items.first()
    item.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        item.save()


@pytest.mark.django_db
def test_freeze_of_six_thousand_scans_takes_seconds(north, keeper):
    template = scan(north, "tumour")
    template.images.all().delete()
    Scan.objects.all().delete()
    patients = PatientFactory._meta.model.objects.bulk_create(
        [PatientFactory.build(institution=north, pseudonym=f"B-{n}") for n in range(6000)]
    )
    Scan.objects.bulk_create(
        [
            Scan(
                **{
                    field.attname: getattr(template, field.attname)
                    for field in Scan._meta.fields
                    if field.name not in ("id", "sha256", "fingerprint", "patient", "reference_label")
                },
                sha256=hashlib.sha256(f"bulk{n}".encode()).hexdigest(),
                fingerprint=look(10_000 + n),
                patient=patients[n],
                reference_label=("tumour", "no_tumour", "glioma")[n % 3],
            )
            for n in range(6000)
        ]
    )
    start = time.monotonic()
    version = services.freeze(by=keeper, institutions=[north])
    assert version.items.count() == 6000
    assert time.monotonic() - start < 60
    shares = version.counts["by_split"]
    assert abs(shares["train"] - 4200) < 60
    assert abs(shares["test"] - 900) < 60


@pytest.mark.django_db
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared images are not here")
def test_freeze_of_real_images_parts_no_duplicates(north, keeper):
    from mlcore.images.decode import decode
    from mlcore.images.fingerprint import fingerprint, twins

    prints = {}
    for folder, label in (("yes", "tumour"), ("no", "no_tumour")):
        for path in sorted((DATA / "navoneel" / folder).iterdir())[:60]:
            content = path.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 in prints:
                continue
            prints[sha256] = fingerprint(decode(content))
            scan(north, label, sha256=sha256, fingerprint=prints[sha256])
    version = services.freeze(by=keeper, institutions=[north])
    split = dict(version.items.values_list("scan__sha256", "split"))
    shas = list(prints)
    pairs = twins([prints[sha] for sha in shas])
    assert len(pairs) > 3, "the set is known to hold near-duplicates"
    assert [(shas[i], shas[j]) for i, j, _ in pairs if split[shas[i]] != split[shas[j]]] == []
