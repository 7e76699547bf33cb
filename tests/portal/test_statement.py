"""Each field that a reader states passes through every door; a door that forgets one fails with its name."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from diagnostics.datasets import manifests
from diagnostics.datasets.labelling import labelled
from diagnostics.datasets.splits import Planned
from diagnostics.models import Case, Claim, Read
from diagnostics.reviews import reading, worklist
from diagnostics.reviews.reading import Door, Kind, Step, at, statement, through, timeline_of
from diagnostics.reviews.reading.statement import FIELDS
from diagnostics.reviews.visible_scans import scans_for
from diagnostics.scans.access import Role
from diagnostics.scans.models import SecondReader
from tests.diagnostics.test_reports import text
from tests.factories import (
    CaseFactory,
    InstitutionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    grown_to,
    person,
)
from tests.portal.api.api_client import V1, bearer
from tests.portal.test_reading import Desk

pytestmark = pytest.mark.django_db

# What the machine knows of a read by itself. Every other column is stated by its reader, and stands in the table.
MACHINE = {
    *("id", "case", "claim", "reader", "kind", "stage", "revision", "mode", "adopted", "prediction", "seconds"),
    "scan_revision",
    *("revealed_at", "withdrawn_at", "created_at", "updated_at"),
}
LABEL = "glioma"  # where the AI says meningioma


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def case(place):
    scan = grown_to(ScanFactory(institution=place), 20)
    PredictionFactory(scan=scan, label="meningioma", probabilities={"meningioma": 0.9, "no_tumour": 0.1})
    return CaseFactory(scan=scan)


@pytest.fixture
def desk(case, place):
    """A reader who holds the case."""
    desk = Desk(case, person(Role.RADIOLOGIST, place))
    desk.act("claim")
    return desk


def sample(each, opinion=None):
    """Something else than the field's default, that may stand beside the label and the opinion."""
    if each.name == "label":
        return LABEL
    if each.kind == Kind.TEXT:
        return f"Words of the {each.name}."
    if each.kind == Kind.YES_NO:
        return True
    if each.kind == Kind.IMAGES:
        return "3, 7"
    offered = each.offers(LABEL, opinion) if each.offers is not None else each.codes
    return next(code for code in offered if code != each.default)


def samples(step, opinion=None):
    return {each.name: sample(each, opinion) for each in at(step)}


def stored(read):
    return {each.name: getattr(read, each.name) for each in FIELDS}


def forgotten(wanted, found):
    """The names of what does not come out as it was put in."""
    return [name for name, value in wanted.items() if found.get(name) != value]


def sent(said):
    """As a form sends it."""
    return {name: "1" if value is True else value for name, value in said.items()}


def opinion_of(case):
    return case.scan.predictions.get()


def final_read(desk, **more):
    """A final read in which every field says something, given by the domain."""
    desk.lock(label="no_tumour")
    said = samples(Step.FINAL, opinion_of(desk.case)) | more
    return reading.record_read(by=desk.user, case=desk.case, claim_token=desk.token, kind="final", **said)


# --- the table and the model


def test_every_column_of_a_read_is_stated_or_the_machines_own():
    columns = {column.name for column in Read._meta.get_fields() if column.concrete}
    assert columns - MACHINE == {each.name for each in FIELDS} == set(statement.Said.__annotations__)


@pytest.mark.parametrize("each", FIELDS, ids=lambda each: each.name)
def test_table_says_what_the_model_says(each):
    column = Read._meta.get_field(each.name)
    assert column.has_default() is not each.required
    if not each.required:
        assert column.get_default() == each.default
    assert [code for code, _words in column.choices or ()] == each.codes
    assert each.kind not in (Kind.TEXT, Kind.IMAGES) or column.max_length == each.limit
    longest = max(map(len, each.codes), default=0)
    assert longest <= (column.max_length or 0), "a code that the column cannot hold"


# --- the pages


def test_blind_read_on_the_page(desk):
    wanted = samples(Step.BLIND)
    html = desk.html()
    assert [name for name in wanted if f'name="{name}"' not in html] == []
    assert desk.act("blind", claim_token=desk.token, **sent(wanted)).status_code == 302
    assert forgotten(wanted, stored(Read.objects.get())) == []


def test_final_read_on_the_page(desk):
    desk.lock()
    wanted = samples(Step.FINAL, opinion_of(desk.case))
    html = desk.html()
    assert [name for name in wanted if f'name="{name}"' not in html] == []
    assert desk.final(choice="other", **sent(wanted)).status_code == 302
    assert forgotten(wanted, stored(Read.objects.get(kind="final"))) == []


def test_final_read_begins_with_what_is_carried_from_the_blind_one(desk):
    wanted = samples(Step.BLIND)
    desk.act("blind", claim_token=desk.token, **sent(wanted))
    desk.reveal()
    form = desk.page().context["form"]
    carried = {each.name: wanted[each.name] for each in FIELDS if each.carried}
    assert carried and forgotten(carried, {name: form[name].value() for name in carried}) == []


def test_amendment_on_the_page_begins_with_the_former_read_and_keeps_what_it_does_not_send(desk):
    former = stored(final_read(desk))
    page = desk.page()
    form, html = page.context["form"], page.content.decode()
    asked = [each for each in at(Step.AMEND) if not each.anew]
    assert forgotten({each.name: former[each.name] for each in asked}, {n: form[n].value() for n in form.fields}) == []
    assert [each.name for each in at(Step.AMEND) if f'name="{each.name}"' not in html] == []
    said = {each.name: former[each.name] for each in asked if each.required or each.kind == Kind.YES_NO}
    assert desk.act("amend", comment="Seen again.", **sent(said)).status_code == 302
    amended = Read.objects.get(kind="final", revision=2)
    assert forgotten(former | {"comment": "Seen again."}, stored(amended)) == []


def test_adjudication_on_the_page(place, case):
    place.second_reader = SecondReader.ALL
    place.save()
    for label in ("glioma", "no_tumour"):
        reader = Desk(case, person(Role.RADIOLOGIST, place))
        reader.act("claim")
        reader.lock(label=label)
        reason = "wrong_type" if label == "glioma" else "false_positive"
        reader.final(choice="keep", reason=reason)
    judge = Desk(case, person(Role.ADJUDICATOR, place))
    judge.act("claim")
    wanted = samples(Step.ADJUDICATE)
    html = judge.html()
    assert [name for name in wanted if f'name="{name}"' not in html] == []
    assert judge.act("adjudicate", claim_token=judge.token, **sent(wanted)).status_code == 302
    assert forgotten(wanted, stored(Read.objects.get(stage="adjudication"))) == []


@pytest.mark.parametrize("step", [Step.BLIND, Step.FINAL])
def test_draft_is_kept_restored_and_told_in_a_conflict(desk, step):
    if step == Step.FINAL:
        desk.lock()
    wanted = sent(samples(step, opinion_of(desk.case)))
    saved = desk.act("draft", claim_token=desk.token, step=step, tab="one", **wanted)
    assert saved.status_code == 200, saved.content
    page = desk.page()
    form = page.context["form"]
    assert forgotten(wanted, {name: form[name].value() for name in form.fields}) == []
    refused = desk.act("draft", claim_token=desk.token, step=step, tab="two", draft_revision="", comment="Other.")
    assert refused.status_code == 409 and forgotten(wanted, refused.json()["entries"]) == []
    shown = {str(form.fields[name].label) for name in wanted if not form.fields[name].widget.is_hidden}
    assert shown - {row["name"] for row in refused.json()["kept"]} == set()
    fillable = set(page.context["page"].draft_fields.split())
    assert {name for name in wanted if not form.fields[name].widget.is_hidden} - fillable == set()


def test_what_was_entered_is_told_where_the_claim_has_ended(desk):
    wanted = samples(Step.BLIND)
    worklist.release(by=desk.user, case=desk.case, claim_token=desk.token)
    page = desk.act("blind", claim_token="gone", **sent(wanted)).context
    assert forgotten(sent(wanted), page["entries"]) == []
    words = [statement.spoken(each, wanted[each.name]) for each in at(Step.BLIND) if each.kind != Kind.YES_NO]
    assert [each for each in words if each not in page["spoken"]] == []


def test_undo_brings_the_form_back(desk):
    wanted = sent(stored(final_read(desk)))
    form = desk.act("undo").context["form"]
    assert forgotten(wanted, {name: form[name].value() for name in form.fields}) == []


def test_undo_of_a_blind_read_brings_the_form_back(desk):
    wanted = sent(samples(Step.BLIND))
    desk.act("blind", claim_token=desk.token, **wanted)
    form = desk.act("undo", kind="blind").context["form"]
    assert forgotten(wanted, {name: form[name].value() for name in form.fields}) == []


def in_words(read, door):
    return [words for each in through(door) if (words := statement.value_in_words(each, read).lower())]


def test_page_of_a_done_case_shows_it(desk):
    read = final_read(desk)
    html = desk.html().lower()
    wanted = in_words(read, Door.HEADLINE) + in_words(read, Door.LINE)
    assert [words for words in wanted if words not in html] == []


def test_admin_shows_every_field(case, place):
    read = ReadFactory(final=True, case=case)
    client = Client()
    client.force_login(person(Role.ADMINISTRATOR, place, is_staff=True))
    html = client.get(reverse("admin:diagnostics_read_change", args=[read.pk])).content.decode()
    assert [each.name for each in FIELDS if f"field-{each.name}" not in html] == []


# --- the API


def of_api(said):
    return {name: value for name, value in said.items() if name in statement.columns(Door.API_WRITE)}


def test_api_takes_and_tells_it(desk):
    client, address = bearer(desk.user), f"{V1}/cases/{desk.case.pk}/reads/"
    blind = of_api(samples(Step.BLIND))
    told = client.post(address, {"claim_token": desk.token, "stage": "blind", **blind}, format="json")
    assert told.status_code == 201 and forgotten(blind, told.json()) == []
    final = of_api(samples(Step.FINAL, opinion_of(desk.case)))
    told = client.post(address, {"claim_token": desk.token, "stage": "final", **final}, format="json")
    assert told.status_code == 201, told.content
    assert forgotten(final, told.json()) == [] and forgotten(final, stored(Read.objects.get(kind="final"))) == []
    assert set(told.json()) >= set(statement.columns(Door.API_READ))
    # An amendment that says no more than why it is one keeps the rest.
    needed = {each.name: final[each.name] for each in FIELDS if each.required}
    amend = f"{V1}/reads/{told.json()['id']}/amend/"
    amended = client.post(amend, {**needed, "comment": "Seen again."}, format="json")
    assert amended.status_code == 201 and forgotten(final | {"comment": "Seen again."}, amended.json()) == []


def test_api_narrows_a_list_by_it(desk):
    read = final_read(desk)
    client = bearer(desk.user)
    for each in through(Door.API_FILTER):
        found = client.get(f"{V1}/reads/", {each.name: getattr(read, each.name), "stage": "final"})
        assert [row["id"] for row in found.json()["results"]] == [str(read.pk)], each.name


def test_description_of_the_api_names_it():
    schemas = Client().get("/api/schema/").json()["components"]["schemas"]
    named = [schema.get("properties", {}) for schema in schemas.values()]
    for door, mark in ((Door.API_READ, "revealed_at"), (Door.API_WRITE, "claim_token")):
        shown = [each for each in named if mark in each and "certainty" in each]
        assert shown, door
        assert [each.name for each in through(door) for found in shown if each.name not in found] == []


# --- what is made of reads


def test_amendment_in_the_domain_keeps_what_it_leaves_out(desk):
    former = stored(final_read(desk))
    amended = reading.amend(by=desk.user, read=Read.objects.get(kind="final"), comment="Seen again.")
    assert forgotten(former | {"comment": "Seen again."}, stored(amended)) == []


def test_report_shows_it(desk):
    read = final_read(desk)
    said = text(desk.user, desk.case).lower()
    wanted = in_words(read, Door.HEADLINE) + in_words(read, Door.LINE)
    assert [words for words in wanted if words not in said] == []


def test_time_line_shows_it(desk):
    read = final_read(desk)
    scans = scans_for(desk.user).filter(pk=desk.case.scan_id).visible()
    (said,) = [each.sentence.lower() for each in timeline_of(desk.user, scans) if each.obj == read]
    chosen = [statement.value_in_words(each, read).lower() for each in through(Door.LINE) if each.kind != Kind.TEXT]
    assert [words for words in in_words(read, Door.HEADLINE) + chosen if words not in said] == []
    html = desk.html()
    texts = [statement.value_in_words(each, read) for each in through(Door.LINE) if each.kind == Kind.TEXT]
    assert [words for words in texts if words not in html] == []


def test_adjudicator_is_shown_it_on_the_page_and_over_the_api(place, desk):
    place.second_reader = SecondReader.ALL
    place.save()
    desk.act("blind", claim_token=desk.token, **sent(samples(Step.BLIND)))
    desk.reveal()
    said = samples(Step.FINAL, opinion_of(desk.case))
    said["comment"] = samples(Step.BLIND)["comment"]
    reading.record_read(by=desk.user, case=desk.case, claim_token=desk.token, kind="final", **said)
    second = Desk(desk.case, person(Role.RADIOLOGIST, place))
    second.act("claim")
    second.lock(label="no_tumour")
    second.final(choice="keep", reason="false_positive")
    judge = Desk(Case.objects.get(), person(Role.ADJUDICATOR, place))
    judge.act("claim")
    wanted = {each.name: said[each.name] for each in through(Door.THREAD)}
    first = reading.statements_for(judge.user, judge.case)[0]
    assert forgotten(wanted, first.said) == []
    told = bearer(judge.user).get(f"{V1}/cases/{judge.case.pk}/thread/").json()["statements"][0]
    assert forgotten(wanted, told) == []
    html = judge.html().lower()
    shown = in_words(Read.objects.get(kind="final", stage="first"), Door.HEADLINE)
    assert [words for words in shown if words not in html] == []


def test_manifest_of_a_dataset_says_it(place, desk):
    read = final_read(desk)
    found, _left_out = labelled(by=desk.user, institutions=[place], imported=False, demo=False)
    (line,) = manifests.written([Planned(found[0], "group", "train")], {}).splitlines()
    assert forgotten({each.name: getattr(read, each.name) for each in through(Door.MANIFEST)}, json.loads(line)) == []


def test_what_was_left_over_in_a_form_is_dropped_and_what_a_program_states_is_refused(desk):
    """A reason explains a difference: beside the AI's own label a page's is left over, a program's a mistake."""
    desk.lock()
    client, address = bearer(desk.user), f"{V1}/cases/{desk.case.pk}/reads/"
    said = {"claim_token": desk.token, "stage": "final", "label": "meningioma", "certainty": "certain"}
    assert client.post(address, {**said, "reason": "wrong_type"}, format="json").status_code == 400
    assert desk.final(choice="adopt", reason="wrong_type").status_code == 302
    assert Read.objects.get(kind="final").reason == ""
    assert Claim.objects.get().release == "done"
