"""What a page answers where the domain refuses and the view did not say where the sentence belongs."""

import json

import pytest
from django.contrib.messages.storage.cookie import CookieStorage
from django.forms import CharField, Form
from django.http import HttpResponse
from django.utils.translation import gettext_lazy

from diagnostics.disk import StorageFull
from diagnostics.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from portal.ui import refusals
from portal.ui.middleware import RefusalMiddleware

SENTENCE = gettext_lazy("Show the AI result first. Until then you can undo your blind read.")
STATUSES = [(Invalid, 400), (Denied, 403), (NotFound, 404), (Conflict, 409), (Unavailable, 503)]


def answered(request, refusal):
    return RefusalMiddleware(lambda _: HttpResponse()).process_exception(request, refusal)


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_page_by_kind(rf, kind, status):
    answer = answered(rf.post("/"), kind(SENTENCE))
    assert answer.status_code == status
    # Of what is not there nothing is said, not even that it might be elsewhere.
    assert (str(SENTENCE) in answer.content.decode()) is (kind is not NotFound)
    assert answer.headers.get("Retry-After") == ("30" if kind is Unavailable else None)


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_script_is_told_in_json_at_the_field(rf, kind, status):
    answer = answered(rf.post("/", headers={"accept": "application/json"}), kind(SENTENCE, field="label"))
    assert answer.status_code == status
    told = json.loads(answer.content)
    assert told == {"sentence": str(SENTENCE), "field": "label", "errors": {"label": [str(SENTENCE)]}}


def test_full_disk_is_left_to_the_page_that_asks_nothing_of_the_disk(rf):
    assert answered(rf.post("/"), StorageFull()) is None
    with pytest.raises(StorageFull), refusals.refusals_as_messages(rf.post("/")):
        raise StorageFull


def test_refusal_stands_at_the_field_of_the_form_or_above_it():
    class Said(Form):
        label = CharField()

    form = Said({"label": "glioma"})
    refusals.add_to(form, Invalid(SENTENCE, field="label"))
    refusals.add_to(form, Invalid("Not now.", field="elsewhere"))
    assert form.errors == {"label": [str(SENTENCE)], "__all__": ["Not now."]}


def test_refusal_is_told_on_the_next_page(rf):
    request = rf.post("/")
    request._messages = CookieStorage(request)
    with refusals.refusals_as_messages(request):
        raise Conflict(SENTENCE)
    assert [str(each) for each in request._messages] == [str(SENTENCE)]


def test_what_a_person_may_not_do_is_no_mere_message(rf):
    with pytest.raises(Denied), refusals.refusals_as_messages(rf.post("/")):
        raise Denied(SENTENCE)
