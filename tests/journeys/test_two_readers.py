"""One case from the first reader to the number it became: two readers blind to each other, a disagreement, an
adjudicator who returns it and settles it, and the page on which their agreement stands. Through the pages alone."""

import re

import pytest
from django.urls import reverse

from diagnostics.models import Case, Read
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.factories import CaseFactory, InstitutionFactory, PredictionFactory, ScanFactory, person
from tests.portal.test_reading import Desk

pytestmark = pytest.mark.django_db
ANNA_SAYS, BERT_SAYS = "An ovoid shadow.", "I see the falx."
ASKED, ANSWERED = "Compare it with the other side.", "It is a vessel after all."


def take(desk):
    """Claim through the worklist's own button; the page that it opens."""
    answer = desk.client.post(reverse("worklist:next"))
    assert answer["Location"] == reverse("reading:case", args=[desk.case.pk])
    return desk.html()


def test_a_case_of_two_readers_from_the_first_read_to_the_number(client):
    place = InstitutionFactory(second_reader=SecondReader.ALL)
    scan = ScanFactory(institution=place, study__accession="ACC-2R")
    PredictionFactory(scan=scan, label="glioma", finding="tumour", probabilities={"glioma": 0.9317}, p=0.9317)
    case = CaseFactory(scan=scan)
    anna, bert = (Desk(case, person(Role.RADIOLOGIST, place, username=name)) for name in ("anna", "bert"))
    judge = Desk(case, person(Role.ADJUDICATOR, place, username="judge"))

    # Anna: blind, then she adopts what the AI says.
    assert "93 %" not in take(anna)
    assert anna.blind(label="no_tumour", comment=ANNA_SAYS).status_code == 302
    assert "93 %" not in anna.html(), "locked, and still to be undone"
    assert anna.reveal().status_code == 302
    assert "93 %" in anna.html()
    assert anna.final(choice="adopt", reason="", comment=ANNA_SAYS, may_train="1").status_code == 302
    assert Case.objects.get().stage == "second"
    assert anna.client.post(reverse("worklist:next"))["Location"] == reverse("worklist:list"), "not hers a second time"

    # Bert: blind to the AI and to Anna, before and after his own blind read.
    page = take(bert)
    assert not [word for word in ("anna", ANNA_SAYS, "93 %") if word in page]
    bert.lock(label="no_tumour", comment=BERT_SAYS)
    assert not [word for word in ("anna", ANNA_SAYS) if word in bert.html()]
    bert.final(choice="keep", reason="false_positive", comment=BERT_SAYS)
    assert Case.objects.get().stage == "adjudication"

    # The adjudicator: both labels, no names, no AI; and back to Reader A with a question.
    page = take(judge)
    assert "Reader A" in page and "Reader B" in page and BERT_SAYS in page
    # Anna's words were of a read that she changed after the reveal: they would tell what the AI thinks.
    assert not [word for word in ("anna", "bert", ANNA_SAYS, "93 %", "adopted") if word in page]
    asked = judge.act("return", claim_token=judge.token, reader="a", words=ASKED)
    assert asked["Location"] == reverse("worklist:list")
    assert bert.client.post(reverse("worklist:next"))["Location"] == reverse("worklist:list"), "it is Anna's now"
    page = take(anna)
    assert ASKED in page and "judge" not in page
    assert ANSWERED in anna.act("answer", words=ANSWERED).content.decode()
    anna.final(choice="other", label="meningioma", reason="wrong_type", comment=ANNA_SAYS)
    assert Read.objects.filter(reader=anna.user, kind="final").count() == 2, "the former one stands beside it"

    # They still disagree: settled, with the thread before the adjudicator's eyes.
    page = take(judge)
    assert ANSWERED in page and not [word for word in ("anna", "bert", "93 %") if word in page]
    judge.act("adjudicate", claim_token=judge.token, label="no_tumour", certainty="certain", may_train="1")
    assert Case.objects.get().state == "done"
    assert "anna" in judge.html() and "93 %" in judge.html(), "nothing is hidden of a case that is done"

    # What they said by themselves counts, and each number opens its case.
    client.force_login(person(Role.DATA_MANAGER, place))
    html = client.get(reverse("lab:agreement")).content.decode()
    assert "Cohen's kappa" in html and "Fleiss' kappa" in html and "anna · bert" in html
    assert "1 of 2 correct blind reads wrong" in html and "0 of 0 wrong blind reads correct" in html
    opened = {
        query: "ACC-2R" in client.get(reverse("lab:agreement-cases") + query.replace("&amp;", "&")).content.decode()
        for query in re.findall(r'href="/lab/agreement/cases/(\?[^"]*)"', html)
    }
    pair = f"?key={anna.user.pk}-{bert.user.pk}"
    assert {query for query, shown in opened.items() if not shown} == {"?flip=right"}
    assert {"?key=all", "?key=glioma", "?key=no_tumour", pair, f"{pair}&amp;disagreed=1", "?flip=wrong"} <= set(opened)
