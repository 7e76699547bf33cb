"""Labels of look-alikes that contradict each other are settled; readers and institutions can be left out."""

import json
import uuid

import pytest
from django.db import IntegrityError, transaction

from diagnostics.datasets import conflicts, services
from diagnostics.models import AuditEvent, RuledOut
from diagnostics.scans.access import NotAllowed, Role
from tests.diagnostics.test_datasets import enough, look, near, own_files, scan  # noqa: F401 - fixture
from tests.factories import CaseFactory, ClaimFactory, InstitutionFactory, ReadFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def twins(north):
    """Two scans that look alike, of which only one can have a tumour."""
    enough(north)
    return scan(north, "tumour", fingerprint=look(9001)), scan(north, "no_tumour", fingerprint=near(9001))


def seen(*scans):
    return {each.pk: each.reference_label for each in scans}


def read_of(judged, label, reader=None, *, stage="first", case=None, **fields):
    """A final read that may train."""
    case = case or CaseFactory(scan=judged, done=True, stage=stage, second_read="" if stage == "first" else "policy")
    reader = reader or person(Role.RADIOLOGIST, judged.institution)
    claim = ClaimFactory(case=case, holder=reader, stage=stage, ended=True)
    return ReadFactory(
        kind="final", case=case, reader=reader, claim=claim, stage=stage, label=label, may_train=True, **fields
    )


def test_settling_keeps_what_contradicts_out_and_says_why(north, keeper, twins):
    ill, well = twins
    assert services.plan(by=keeper, institutions=[north]).counts["conflicts"] == 1
    conflicts.finalize(by=keeper, seen=seen(ill, well), stands="tumour", reason="A mass is plain to see.")
    version = services.freeze(by=keeper, institutions=[north])
    assert version.counts["conflicts"] == 0
    assert version.counts["left_out"] == {"ruled_out": 1}
    inside = set(version.items.values_list("scan_id", flat=True))
    assert ill.pk in inside and well.pk not in inside
    event = AuditEvent.objects.get(act="conflict_settled")
    assert (event.actor, event.institution, event.detail["reason"]) == (keeper, north, "A mass is plain to see.")


def test_settling_for_none_leaves_all_out(north, keeper, twins):
    made = conflicts.finalize(by=keeper, seen=seen(*twins), reason="Nobody can tell.")
    assert len(made) == 2
    assert services.plan(by=keeper, institutions=[north]).counts["left_out"] == {"ruled_out": 2}


def test_a_new_read_brings_a_scan_back_that_was_ruled_out(north, keeper, twins):
    ill, well = twins
    conflicts.finalize(by=keeper, seen=seen(ill, well), stands="tumour", reason="Plain.")
    read_of(well, "glioma")
    plan = services.plan(by=keeper, institutions=[north])
    assert well.pk in {each.labelled.scan for each in plan.items}
    assert plan.counts["conflicts"] == 0


def test_taking_back_opens_the_conflict_again(north, keeper, twins):
    ruling = conflicts.finalize(by=keeper, seen=seen(*twins), stands="tumour", reason="Plain.")[0].ruling
    conflicts.take_back(by=keeper, ruling=ruling)
    assert services.plan(by=keeper, institutions=[north]).counts["conflicts"] == 1
    assert AuditEvent.objects.filter(act="conflict_reopened", actor=keeper).exists()
    with pytest.raises(conflicts.NotSettled, match="already"):
        conflicts.take_back(by=keeper, ruling=ruling)
    # And can be settled anew.
    conflicts.finalize(by=keeper, seen=seen(*twins), stands="no_tumour", reason="A vessel.")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reason": "  "}, "Give a reason"),
        ({"stands": "glioma"}, "None of these scans has the label"),
    ],
)
def test_settling_is_refused_with_a_sentence(keeper, twins, change, sentence):
    with pytest.raises(conflicts.NotSettled, match=sentence):
        conflicts.finalize(by=keeper, **{"seen": seen(*twins), "stands": "tumour", "reason": "Plain.", **change})
    assert not RuledOut.objects.exists()


def test_settling_what_is_no_conflict_is_refused(north, keeper, twins):
    ill, well = twins
    apart = scan(north, "no_tumour")
    alike = scan(north, "glioma", fingerprint=near(9001))
    with pytest.raises(conflicts.NotSettled, match="are not near-duplicates"):
        conflicts.finalize(by=keeper, seen=seen(ill, apart), stands="tumour", reason="Plain.")
    with pytest.raises(conflicts.NotSettled, match="do not contradict"):
        conflicts.finalize(by=keeper, seen=seen(ill, alike), stands="tumour", reason="Plain.")
    with pytest.raises(conflicts.NotSettled, match="changed since"):
        conflicts.finalize(by=keeper, seen={ill.pk: "tumour", well.pk: "glioma"}, stands="tumour", reason="Plain.")


def test_the_untyped_label_cannot_stand_over_types_that_contradict(north, keeper):
    enough(north)
    three = [scan(north, label, fingerprint=near(9002, 2.0)) for label in ("tumour", "glioma", "meningioma")]
    with pytest.raises(conflicts.NotSettled, match="glioma, meningioma still contradict"):
        conflicts.finalize(by=keeper, seen=seen(*three), stands="tumour", reason="Some tumour.")
    out = conflicts.finalize(by=keeper, seen=seen(*three), stands="glioma", reason="Seen again.")
    assert [each.label for each in out] == ["meningioma"]


def test_strangers_and_readers_settle_nothing(north, twins):
    with pytest.raises(conflicts.NotSettled, match="no such set"):
        stranger = person(Role.DATA_MANAGER, InstitutionFactory())
        conflicts.finalize(by=stranger, seen=seen(*twins), stands="tumour", reason="Plain.")
    with pytest.raises(NotAllowed):
        reader = person(Role.RADIOLOGIST, north)
        conflicts.finalize(by=reader, seen=seen(*twins), stands="tumour", reason="Plain.")
    with pytest.raises(conflicts.NotSettled):
        conflicts.take_back(by=person(Role.DATA_MANAGER, north), ruling=uuid.uuid4())


def test_database_holds_one_standing_ruling_with_a_reason_and_a_whole_taking_back(keeper, twins):
    row = conflicts.finalize(by=keeper, seen=seen(*twins), stands="tumour", reason="Plain.")[0]
    for wrong in (
        {"scan": row.scan, "label": row.label, "reason": "Twice."},
        {"scan": twins[0], "label": "tumour", "reason": ""},
        {"scan": twins[0], "label": "tumour", "reason": "R", "taken_back_by": keeper},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            RuledOut.objects.create(ruling=uuid.uuid4(), by=keeper, **wrong)


def lines(manifest: bytes) -> dict[str, bytes]:
    """The lines of a manifest by scan."""
    return {json.loads(line)["scan"]: line for line in manifest.splitlines()}


def test_leaving_a_reader_out_leaves_every_other_line_as_it_was(north, keeper):
    enough(north)
    doubted, other = person(Role.RADIOLOGIST, north), person(Role.RADIOLOGIST, north)
    twin = scan(north, fingerprint=look(9101))
    theirs = [scan(north), twin, scan(north)]
    for each in theirs:
        read_of(each, "glioma", doubted)
    read_of(scan(north, fingerprint=near(9101)), "tumour", other)
    # Agreed to by two, the doubted one first; and settled over the doubted one by an adjudicator.
    agreed, settled = scan(north), scan(north)
    both = CaseFactory(scan=agreed, done=True, stage="second", second_read="policy")
    read_of(agreed, "tumour", doubted, case=both)
    read_of(agreed, "tumour", other, case=both, stage="second")
    over = CaseFactory(scan=settled, done=True, stage="adjudication", second_read="policy")
    read_of(settled, "tumour", doubted, case=over)
    read_of(settled, "no_tumour", other, case=over, stage="second")
    read_of(settled, "no_tumour", person(Role.ADJUDICATOR, north), case=over, stage="adjudication")
    whole = services.freeze(by=keeper, institutions=[north])
    rest = services.freeze(by=keeper, institutions=[north], exclude_readers=[doubted])
    before, after = lines(services.manifest(whole)), lines(services.manifest(rest))
    gone = {str(each.pk) for each in (*theirs, agreed)}
    assert {pk: line for pk, line in before.items() if pk not in gone} == after
    assert rest.counts["left_out"] == {"excluded": 4}
    assert rest.counts["excluded"] == {"readers": [doubted.username], "institutions": []}
    assert rest.items.get(scan=settled).label_source == "adjudicated"
    assert whole.counts["by_label_source"]["adjudicated"] == 1
    # And from nothing, in a lineage of its own, the same lines come about.
    fresh = services.plan(by=keeper, institutions=[north], lineage="again", exclude_readers=[doubted])
    assert lines(fresh.manifest) == after


def test_leaving_an_institution_out_leaves_every_other_line_as_it_was(north, keeper):
    south = InstitutionFactory(code="south")
    keeper.memberships.create(institution=south, role=Role.DATA_MANAGER)
    enough(north)
    enough(south, each=5)
    scan(south, "tumour", fingerprint=look(9201))
    scan(north, "tumour", fingerprint=near(9201))
    whole = services.freeze(by=keeper, institutions=[north, south])
    rest = services.freeze(by=keeper, institutions=[north, south], exclude_institutions=[south])
    mine = {str(pk) for pk in whole.items.filter(scan__institution=north).values_list("scan_id", flat=True)}
    before = lines(services.manifest(whole))
    assert lines(services.manifest(rest)) == {pk: line for pk, line in before.items() if pk in mine}
    assert list(rest.institutions.all()) == [north]


def test_the_difference_to_the_former_version_says_what_came_went_and_changed(north, keeper):
    scans = enough(north)
    assert services.freeze(by=keeper, institutions=[north]).counts["difference"] is None
    scan(north, "glioma")
    read_of(scans[0], "no_tumour")
    read_of(scans[1], "tumour")
    scans[2].reference_label = ""
    scans[2].save()
    found = services.freeze(by=keeper, institutions=[north]).counts["difference"]
    assert (found["former"], found["added"], found["removed"], found["relabelled"]) == (1, 1, 1, 1)
    assert found["added_by"] == [{"label": "glioma", "label_source": "imported", "institution": "north", "n": 1}]
    assert found["removed_by"] == [{"label": "tumour", "label_source": "imported", "institution": "north", "n": 1}]
    assert found["relabelled_listed"] == [{"scan": str(scans[0].pk), "from": "tumour", "to": "no_tumour"}]
    assert found["same_label_from_another_source"] == 1


def test_the_difference_counts_nothing_of_an_institution_that_takes_no_part(north, keeper):
    south = InstitutionFactory(code="south")
    both = person(Role.DATA_MANAGER, north)
    both.memberships.create(institution=south, role=Role.DATA_MANAGER)
    enough(north)
    enough(south)
    services.freeze(by=both, institutions=[north, south])
    scan(north, "glioma")
    found = services.plan(by=keeper, institutions=[north]).counts["difference"]
    assert (found["added"], found["removed"]) == (1, 0)
