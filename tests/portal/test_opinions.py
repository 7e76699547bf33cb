"""What a page says of an opinion's doubts comes from one source, so that no two sentences contradict."""

import pytest

from diagnostics.predictions.doubt import doubt_of
from portal.reading.opinions import in_words
from tests.factories import PredictionFactory

pytestmark = pytest.mark.django_db
CLEAR = {"glioma": 0.97, "meningioma": 0.02, "no_tumour": 0.01}
CLOSE = {"glioma": 0.6, "meningioma": 0.3, "no_tumour": 0.1}
TWO = {"tumour": 0.55, "no_tumour": 0.45}


def opinion(probabilities, *warnings):
    label = max(probabilities, key=lambda each: probabilities[each])
    return PredictionFactory(label=label, probabilities=probabilities, warnings=list(warnings))


def said(prediction):
    shown = in_words(prediction)
    return " ".join([*shown.warnings, shown.also])


@pytest.mark.parametrize("probabilities", [CLEAR, CLOSE, TWO, {"glioma": 1.0}])
@pytest.mark.parametrize("warnings", [(), ("uncertain",), ("uncertain", "out_of_distribution")])
def test_no_opinion_is_uncertain_and_sure_at_once(probabilities, warnings):
    words = said(opinion(probabilities, *warnings))
    assert "comes close" not in words
    assert ("Uncertain" in words) is ("uncertain" in warnings)
    if "uncertain" in warnings and len(probabilities) > 1:
        assert "Also possible" in words, "what is uncertain says between what"
    assert words.count("Uncertain") <= 1 and words.count("Also possible") <= 1


def test_uncertain_names_the_next_answer_however_far_it_is():
    assert doubt_of(opinion(CLEAR, "uncertain")).rivals == (("meningioma", 0.02),)
    assert "wrong more often. Also possible: Meningioma (2 %)." in said(opinion(CLEAR, "uncertain"))


def test_sure_opinion_says_nothing():
    assert said(opinion(CLEAR)) == ""


def test_close_answers_are_named_without_a_warning():
    shown = in_words(opinion(CLOSE))
    assert (shown.warnings, shown.also) == ([], "Also possible: Meningioma (30 %).")
