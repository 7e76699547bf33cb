"""One reader, two tabs, one draft: the older tab never overwrites what the newer one has saved."""

import pytest

from diagnostics.models import Draft
from diagnostics.reviews import reading, worklist
from diagnostics.reviews.errors import StaleDraft
from diagnostics.scans.access import Role
from tests.diagnostics.test_reviews import at_once
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person

pytestmark = pytest.mark.django_db
OLD, NEW = ({"label": "glioma", "comment": text} for text in ("Old tab.", "New tab, and much longer."))


@pytest.fixture
def anna():
    return person(Role.RADIOLOGIST, InstitutionFactory())


@pytest.fixture
def save(anna):
    return saver(anna)


def saver(reader):
    case = CaseFactory(scan=ScanFactory(institution=reader.memberships.get().institution))
    PredictionFactory(scan=case.scan, p=0.94)
    claim = worklist.claim(by=reader, case=case)

    def save(entries, **more):
        return reading.save_draft(by=reader, case=case, claim_token=claim.token, entries=entries, **more)

    save.case, save.claim = case, claim
    return save


def test_a_stale_save_is_refused_and_both_texts_are_there(save):
    save(NEW, base="")
    with pytest.raises(StaleDraft) as refused:
        save(OLD, base="")
    assert refused.value.kept.entries == NEW and Draft.objects.get().entries == NEW
    # The page that is refused may be closed the next moment: what it sent is kept beside the draft.
    assert [each["entries"] for each in Draft.objects.get().aside] == [OLD]


def test_who_has_seen_the_newest_revision_may_change_it(save):
    first = save(NEW, base="")
    second = save(OLD, base=str(first.revision))
    assert second.revision != first.revision and Draft.objects.get().entries == OLD
    with pytest.raises(StaleDraft):
        save(NEW, base=str(first.revision))
    assert save(NEW, base=str(second.revision)).entries == NEW


@pytest.mark.parametrize("base", ["7c0f3a52-1d7e-4b1c-9a63-0d5a2f6b8e11", "7", "nonsense", "x" * 5000])
def test_a_revision_that_never_was_is_stale(save, base):
    save(NEW, base="")
    with pytest.raises(StaleDraft):
        save(OLD, base=base)


def test_the_same_again_is_no_conflict(save):
    first = save(NEW, base="")
    assert save(NEW, base="").revision == first.revision


def test_a_tab_never_contradicts_itself(save):
    """An answer that was lost on its way, or a save on leaving that overtakes the one before it."""
    save(OLD, base="", tab="one", nth=1)
    save({**OLD, "comment": "Old tab. More."}, base="", tab="one", nth=3)
    save({**OLD, "comment": "Old tab. Mo"}, base="", tab="one", nth=2)
    assert Draft.objects.get().entries["comment"] == "Old tab. More."
    with pytest.raises(StaleDraft):
        save(NEW, base="", tab="two", nth=1)
    with pytest.raises(StaleDraft):
        save({**NEW, "comment": "New tab, longer still."}, base="", tab="two", nth=2)
    (aside,) = Draft.objects.get().aside
    assert aside["entries"]["comment"] == "New tab, longer still.", "one a tab, its newest"
    save(NEW, base=str(Draft.objects.get().revision), tab="two", nth=3)
    assert Draft.objects.get().aside == []


def test_a_draft_of_the_step_before_is_not_the_one_that_was_seen(save, anna):
    """The revision cannot come again: an undone read's draft begins anew."""
    seen = save(NEW, base="").revision
    said = {"by": anna, "case": save.case, "claim_token": save.claim.token, "label": "glioma", "certainty": "certain"}
    reading.record_read(kind="blind", **said)
    save(NEW, base="")
    with pytest.raises(StaleDraft):
        save(OLD, base=str(seen))


def test_a_program_that_names_no_revision_still_saves_and_loses_nothing(save):
    save(NEW)
    assert save({**NEW, "label": "meningioma"}).entries["label"] == "meningioma"
    assert save({**NEW, "comment": NEW["comment"] + " More."}).aside == []
    kept = save(OLD)
    assert kept.entries == OLD
    assert [each["entries"]["comment"] for each in kept.aside] == [NEW["comment"] + " More."]


def test_what_is_kept_aside_is_bounded(save):
    save(NEW, base="")
    for number in range(20):
        with pytest.raises(StaleDraft):
            save({"comment": f"Tab {number}"}, base="", tab=f"tab {number}", nth=1)
    aside = Draft.objects.get().aside
    assert [each["entries"]["comment"] for each in aside] == [f"Tab {number}" for number in range(15, 20)]


@pytest.mark.django_db(transaction=True)
def test_tabs_saving_at_once_are_one_draft_and_conflicts():
    reader = person(Role.RADIOLOGIST, InstitutionFactory())
    save = saver(reader)
    texts = iter([f"Tab {number}" for number in range(8)])
    saved, errors = at_once([reader] * 8, lambda _by: save({"comment": next(texts)}, base=""))
    assert len(saved) == 1 and len(errors) == 7 and {type(error) for error in errors} == {StaleDraft}
    assert Draft.objects.get().entries == saved[0].entries
