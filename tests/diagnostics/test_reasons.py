"""A reason explains a difference in one direction: what does not fit the read is neither offered nor kept."""

from dataclasses import dataclass

import pytest

from diagnostics.reviews import reading, worklist
from diagnostics.reviews.errors import InvalidRead
from diagnostics.reviews.models import Draft, Label, Read, Reason
from diagnostics.reviews.reading import fitting_reasons, offered_reasons
from diagnostics.scans.access import Role
from diagnostics.scans.models import ReadingMode
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db
TUMOURS = ("tumour", "glioma", "meningioma", "pituitary")
TYPES = TUMOURS[1:]
ALWAYS = {"artefact", "wrong_sequence", "clinical_context", "other"}


@dataclass
class Said:
    """An opinion that says one label."""

    label: str


def expected(own: str, ai: str) -> set[str]:
    """The table, told in another way than the code tells it."""
    if own == ai or (own == "tumour" and ai in TYPES) or (own in TYPES and ai == "tumour"):
        return set()
    if own in ("not_assessable", "out_of_scope"):
        return ALWAYS | {"out_of_scope"}
    if own == "no_tumour":
        return ALWAYS | {"false_positive"}
    return ALWAYS | ({"missed_lesion"} if ai == "no_tumour" else {"wrong_type"})


@pytest.mark.parametrize("ai", ("no_tumour", *TUMOURS))
@pytest.mark.parametrize("own", Label.values)
def test_reasons_by_direction(own, ai):
    assert set(fitting_reasons(own, Said(ai))) == expected(own, ai)


def test_no_reason_fits_where_there_is_no_opinion_or_no_label():
    assert fitting_reasons("glioma", None) == () and fitting_reasons("lemon", Said("glioma")) == ()
    assert offered_reasons(None) == ()


def test_offered_are_those_that_fit_some_label():
    assert "false_positive" not in offered_reasons(Said("no_tumour"))
    assert "missed_lesion" not in offered_reasons(Said("glioma"))
    assert {"wrong_type", "false_positive"} <= set(offered_reasons(Said("glioma")))


# --- reads


@pytest.fixture
def institution():
    return InstitutionFactory()


@pytest.fixture
def anna(institution):
    return person(Role.RADIOLOGIST, institution)


def case_of(institution, ai):
    p = 0.06 if ai == "no_tumour" else 0.94
    scan = ScanFactory(institution=institution)
    PredictionFactory(
        scan=scan, p=p, label=ai, probabilities={ai: 0.94, "glioma" if ai != "glioma" else "tumour": 0.06}
    )
    return CaseFactory(scan=scan)


def final(by, case, label, reason, **more):
    token = worklist.claim(by=by, case=case).token
    said = {"by": by, "case": case, "claim_token": token, "label": label, "certainty": "certain", **more}
    if not case.reads.exists():
        reading.record_read(kind="blind", **said | {"comment": ""})
    return reading.record_read(kind="final", reason=reason, **said)


@pytest.mark.parametrize("ai", ["no_tumour", "glioma"])
@pytest.mark.parametrize("own", ["no_tumour", "glioma", "meningioma", "not_assessable"])
@pytest.mark.parametrize("reason", Reason.values)
def test_read_is_kept_only_with_a_reason_that_fits(institution, anna, ai, own, reason):
    case = case_of(institution, ai)
    if reason in expected(own, ai):
        assert final(anna, case, own, reason, comment="Seen.").reason == reason
        return
    with pytest.raises(InvalidRead) as refused:
        final(anna, case, own, reason, comment="Seen.")
    assert refused.value.field == "reason" and set(refused.value.accepted) == expected(own, ai)
    assert not Read.objects.filter(kind="final").exists()


def test_refusal_says_what_contradicts_what(institution, anna):
    with pytest.raises(InvalidRead) as refused:
        final(anna, case_of(institution, "glioma"), "no_tumour", "missed_lesion")
    for words in ("“The AI missed a lesion” does not fit", "you say No tumour, the AI Glioma", "An artefact misled"):
        assert words in refused.value.sentence


def test_amendment_needs_a_reason_that_fits(institution, anna):
    read = final(anna, case_of(institution, "glioma"), "no_tumour", "false_positive")
    said = {"by": anna, "read": read, "certainty": "certain", "comment": "Seen again."}
    with pytest.raises(InvalidRead, match="does not fit"):
        reading.amend(label="meningioma", reason="false_positive", **said)
    with pytest.raises(InvalidRead, match="agrees with the AI"):
        reading.amend(label="glioma", reason="false_positive", **said)
    assert reading.amend(label="meningioma", reason="wrong_type", **said).reason == "wrong_type"


def test_read_of_before_keeps_its_reason_and_can_be_amended(institution, anna):
    read = final(anna, case_of(institution, "glioma"), "no_tumour", "false_positive")
    Read.objects.filter(pk=read.pk).update(reason="missed_lesion")
    read.refresh_from_db()
    said = {"by": anna, "read": read, "label": "no_tumour", "certainty": "certain", "comment": "Seen again."}
    assert reading.amend(reason="false_positive", **said).revision == 2
    assert Read.objects.get(pk=read.pk).reason == "missed_lesion"


def test_reason_where_the_ai_stays_hidden_is_refused(institution, anna):
    institution.reading_mode = ReadingMode.AI_HIDDEN
    institution.save()
    case = case_of(institution, "glioma")
    token = worklist.claim(by=anna, case=case).token
    said = {"by": anna, "case": case, "claim_token": token, "kind": "final", "certainty": "certain"}
    for label in ("no_tumour", "glioma"):
        with pytest.raises(InvalidRead, match="There is no AI result"):
            reading.record_read(label=label, reason="false_positive", **said)


@pytest.mark.parametrize(
    ("entries", "fits"),
    [
        ({"choice": "keep", "reason": "false_positive"}, True),
        ({"choice": "keep", "reason": "missed_lesion"}, False),
        ({"choice": "other", "label": "meningioma", "reason": "wrong_type"}, True),
        ({"choice": "other", "label": "meningioma", "reason": "false_positive"}, False),
        ({"choice": "adopt", "reason": "artefact"}, False),
        ({"reason": "artefact"}, True),  # nothing is chosen yet that it could contradict
        ({"reason": "missed_lesion"}, False),  # that fits no label beside this opinion
    ],
)
def test_draft_keeps_no_reason_that_contradicts_it(institution, anna, entries, fits):
    case = case_of(institution, "glioma")
    token = worklist.claim(by=anna, case=case).token
    said = {"by": anna, "case": case, "claim_token": token}
    reading.record_read(kind="blind", label="no_tumour", certainty="certain", **said)
    reading.reveal(**said)
    if fits:
        assert reading.save_draft(entries=entries, **said).entries == entries
        return
    with pytest.raises(InvalidRead) as refused:
        reading.save_draft(entries=entries, **said)
    assert refused.value.field == "reason" and not Draft.objects.exists()


def test_draft_before_the_reveal_tells_nothing_of_the_opinion(institution, anna):
    case = case_of(institution, "glioma")
    token = worklist.claim(by=anna, case=case).token
    entries = {"label": "no_tumour", "reason": "missed_lesion"}
    assert reading.save_draft(by=anna, case=case, claim_token=token, entries=entries).entries == entries
