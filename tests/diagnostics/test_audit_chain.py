"""The audit cannot be forged: the database refuses, and what is done past it is found by name."""

import io
import json
import random
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, OperationalError, connection, connections, transaction
from django.test import override_settings

from diagnostics import tasks
from diagnostics.audit import anchors, chain, checking, guards, services
from diagnostics.audit.models import AuditChain, AuditEvent, AuditIsAppendOnly, AuditLink
from diagnostics.upkeep import integrity
from tests.factories import InstitutionFactory, UserFactory

pytestmark = pytest.mark.django_db
EVENT, LINK, CHAIN = guards.TABLES


@pytest.fixture(autouse=True)
def own_anchors(settings, tmp_path):
    """A storage of this test's own for anchors, and for what fsck holds against rows."""
    settings.STORAGES = {
        **settings.STORAGES,
        **{
            name: {**settings.STORAGES[name], "OPTIONS": {"location": tmp_path / name, "allow_overwrite": True}}
            for name in ("default", "artifacts", "audit")
        },
    }


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.fixture
def events(place):
    """Twelve events, each in a transaction of its own."""
    return [told(place, number) for number in range(12)]


def told(place, number=0, **detail):
    with transaction.atomic():
        return services.record(
            by=UserFactory() if number % 3 else None,
            act=f"act_{number}",
            target=place,
            institution=place if number % 2 else None,
            **{"n": number, "share": 0.25, **detail},
        )


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def as_attacker(*statements):
    """What somebody does who owns the tables: the triggers go first."""
    connection.check_constraints()
    guards.take_down()
    for statement in statements:
        sql(statement) if isinstance(statement, str) else sql(*statement)
    guards.put_up()


def found():
    """What fsck says of the audit: (kind, where)."""
    return [(fault.kind, fault.key) for fault in integrity.faults() if fault.what == "audit"]


def test_untouched_audit_has_no_break(events):
    count = checking.Count()
    assert list(checking.breaks(count)) == [] and count.events == 12
    assert found() == []


def test_model_refuses_update_and_delete(events):
    with pytest.raises(AuditIsAppendOnly):
        AuditEvent.objects.update(act="nothing")
    with pytest.raises(AuditIsAppendOnly):
        AuditEvent.objects.filter(pk=events[0].pk).delete()


@pytest.mark.parametrize("table", guards.TABLES)
def test_database_refuses_update_delete_truncate_and_replace(events, table):
    orders = [f"DELETE FROM {table}", f"UPDATE {table} SET {'length = 3' if table == CHAIN else 'id = 7'}"]
    if table == LINK:
        orders[1] = f"UPDATE {LINK} SET position = position"
    if connection.vendor == "postgresql":
        orders.append(f"TRUNCATE {table}")
    else:
        orders.append(f"REPLACE INTO {table} SELECT * FROM {table} LIMIT 1")
    for order in orders:
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            connection.check_constraints()
            sql(order)
    assert found() == [] and AuditEvent.objects.count() == 12


EDITS = {
    "at": "at = '2020-01-01 00:00:00+00:00'",
    "actor": "actor_id = (SELECT min(id) FROM accounts_user)",
    "institution": "institution_id = NULL",
    "act": "act = 'signed_in'",
    "target_type": "target_type = 'case'",
    "target_id": "target_id = '0'",
    "detail": """detail = '{"n": 6, "share": 0.25}'""",
}


@pytest.mark.parametrize("column", EDITS)
def test_fsck_names_the_event_that_was_edited(events, column):
    victim = events[5]
    as_attacker(f"UPDATE {EVENT} SET {EDITS[column]} WHERE id = {victim.pk}")
    assert found() == [("edited", f"event {victim.pk}")]


def test_fsck_names_neighbours_that_were_edited_one_by_one(events):
    as_attacker(f"UPDATE {EVENT} SET act = 'x' WHERE id IN ({events[3].pk}, {events[4].pk}, {events[8].pk})")
    assert found() == [("edited", f"event {events[number].pk}") for number in (3, 4, 8)]


def test_fsck_names_an_event_that_was_removed(events):
    as_attacker(f"DELETE FROM {EVENT} WHERE id = {events[5].pk}")
    assert found() == [("removed", f"event {events[5].pk}")]


def test_fsck_finds_an_event_that_was_removed_with_its_link(events):
    as_attacker(
        *(f"DELETE FROM {table} WHERE {key} = {events[5].pk}" for table, key in ((EVENT, "id"), (LINK, "event_id")))
    )
    assert found() == [("removed", f"chain {AuditChain.objects.get().pk}, 6 to 6")]


def inserted(place):
    columns = "(id, at, act, target_type, target_id, detail)"
    return (
        f"INSERT INTO {EVENT} {columns} VALUES (999999, '2026-01-01 10:00:00+00:00', 'signed_in', 'user', '1', '{{}}')"
    )


def test_fsck_names_an_event_that_was_inserted(events, place):
    # No trigger has to go for it: whoever may write events may write one.
    sql(inserted(place))
    assert found() == [("inserted", "event 999999")]


def test_fsck_finds_an_event_that_was_inserted_with_a_link(events, place):
    chain_id = AuditChain.objects.get().pk
    sql(inserted(place))
    sql(
        f"INSERT INTO {LINK} (event_id, chain, position, hash) VALUES (%s, %s, %s, %s)",
        999999,
        chain_id,
        13,
        b"x" * 32,
    )
    assert ("edited", "event 999999") in found()
    assert ("forged", f"chain {chain_id}, 13 to 13") in found()


def test_fsck_names_events_whose_places_were_exchanged(events):
    one, other = events[4].pk, events[7].pk
    as_attacker(
        f"UPDATE {EVENT} SET id = 888888 WHERE id = {one}",
        f"UPDATE {EVENT} SET id = {one} WHERE id = {other}",
        f"UPDATE {EVENT} SET id = {other} WHERE id = 888888",
    )
    assert found() == [("edited", f"event {one}"), ("edited", f"event {other}")]


def test_fsck_names_links_whose_places_were_exchanged(events):
    one, other = events[4].pk, events[7].pk
    as_attacker(
        f"UPDATE {LINK} SET position = 100 WHERE event_id = {one}",
        f"UPDATE {LINK} SET position = 5 WHERE event_id = {other}",
        f"UPDATE {LINK} SET position = 8 WHERE event_id = {one}",
    )
    said = found()
    assert ("edited", f"event {one}") in said and ("edited", f"event {other}") in said


def cut(events, *, links=False, head=False):
    first = events[-3].pk
    orders = [f"DELETE FROM {EVENT} WHERE id >= {first}"]
    if links:
        orders.append(f"DELETE FROM {LINK} WHERE event_id >= {first}")
    if head:
        link = AuditLink.objects.get(event_id=events[-4].pk)
        orders.append((f"UPDATE {CHAIN} SET length = %s, head = %s", link.position, bytes(link.hash)))
    as_attacker(*orders)


def test_fsck_names_each_event_of_a_tail_that_was_cut(events):
    cut(events)
    assert found() == [("removed", f"event {event.pk}") for event in events[-3:]]


def test_fsck_finds_a_tail_that_was_cut_with_its_links(events):
    cut(events, links=True)
    assert found() == [("cut", f"chain {AuditChain.objects.get().pk}, 10 to 12")]


def test_fsck_finds_by_the_anchor_a_tail_that_was_cut_without_a_trace(events):
    anchors._keep()
    cut(events, links=True, head=True)
    assert list(checking.breaks()) == [], "the database alone tells nothing"
    assert found() == [("cut", f"chain {AuditChain.objects.get().pk}, 10 to 12")]
    # What happens afterwards covers nothing up, and no newer anchor takes the place of the one that knows.
    assert anchors._keep() == []
    for number in range(5):
        told(InstitutionFactory(), number)
    assert anchors._keep() == []
    assert [kind for kind, _ in found()] == ["forged"]


def test_fsck_finds_by_the_anchor_chains_that_were_written_anew(events):
    anchors._keep()
    as_attacker(f"UPDATE {EVENT} SET act = 'signed_in' WHERE id = {events[2].pk}")
    guards.take_down()
    head = bytes(32)
    row = AuditChain.objects.get()
    for link in AuditLink.objects.order_by("position"):
        event = AuditEvent.objects.get(pk=link.event_id)
        head = chain.hash_of(head, row.pk, link.position, *chain.facts_of(event))
        sql(f"UPDATE {LINK} SET hash = %s WHERE event_id = %s", head, event.pk)
    sql(f"UPDATE {CHAIN} SET head = %s", head)
    guards.put_up()
    assert list(checking.breaks()) == []
    assert found() == [("forged", f"chain {row.pk}, 1 to 12")]


def test_event_edited_in_sql_with_its_link_made_to_fit_is_found_at_the_next(events):
    as_attacker(f"UPDATE {EVENT} SET act = 'signed_in' WHERE id = {events[5].pk}")
    guards.take_down()
    former, link = (AuditLink.objects.get(event_id=events[number].pk) for number in (4, 5))
    event = AuditEvent.objects.get(pk=link.event_id)
    made = chain.hash_of(bytes(former.hash), link.chain, link.position, *chain.facts_of(event))
    sql(f"UPDATE {LINK} SET hash = %s WHERE event_id = %s", made, event.pk)
    guards.put_up()
    assert found() == [("edited", f"event {events[6].pk}")]
    assert f"(event {event.pk})" in next(checking.breaks()).sentence


def test_fsck_names_a_trigger_that_is_gone(events):
    connection.check_constraints()
    on = f" ON {EVENT}" if connection.vendor == "postgresql" else ""
    sql(f"DROP TRIGGER {EVENT}_no_delete{on}")
    assert found() == [("unguarded", f"trigger {EVENT}_no_delete")]
    guards.put_up()
    assert found() == []


def test_anchor_that_was_changed_or_broken_is_named(events):
    anchors._keep()
    (key,) = anchors._keys()
    with storages["audit"].open(key) as file:
        content = json.loads(file.read())
    storages["audit"].save(key, ContentFile(json.dumps({**content, "chains": {}}).encode()))
    assert found() == [("forged", f"anchor {key}")]
    storages["audit"].save(key, ContentFile(b"nothing"))
    assert found() == [("forged", f"anchor {key}")]
    assert anchors._keep() == [], "what cannot be read is evidence, and stays"


def test_anchor_of_another_key_counts_once_ours_stands_beside_it(events):
    with override_settings(AUDIT_KEY="another key altogether"):
        anchors._keep()
        assert found() == []
    assert [kind for kind, _ in found()] == ["forged"]
    assert len(anchors._keep()) == 1
    assert found() == []


@pytest.mark.parametrize(
    "detail",
    [
        {"a": 1.0, "b": 1e22, "c": 1e-7, "d": -0.0, "e": 0.1, "f": 2**60 + 1, "g": 1e300},
        {"ä": 'Größe ☃ \\ " \n', "z": [1, [2, {"y": None, "x": True}]], "m": {"9": 1, "10": 2}},
    ],
)
def test_hash_is_the_same_for_what_either_database_gives_back(place, detail):
    with transaction.atomic():
        services.record(by=None, act="x", target=place, **detail)
    assert list(checking.breaks()) == []


def test_content_of_an_event_is_a_format_that_never_changes():
    """Chains were written by these bytes: whoever changes them makes every audit look forged."""
    at = datetime(2026, 11, 29, 8, 30, 1, 5678, tzinfo=UTC)
    content = chain.content_of(7, at, 3, None, "signed_in", "user", "3", {"b": 1.0, "a": "ü"})
    assert content == (rb'[7,"2026-11-29T08:30:01.005+00:00",3,null,"signed_in","user","3",{"a":"\u00fc","b":1}]')
    assert chain.hash_of(bytes(32), 1, 1, 7, at, 3, None, "signed_in", "user", "3", {"b": 1.0, "a": "ü"}).hex() == (
        "4f15088bb39972f00e3ce2dc9bb5fe0fbc27ce875b050d6dfb32ecefeee8f83d"
    )


def test_rolled_back_event_leaves_no_gap(place, events):
    with suppress(KeyError), transaction.atomic():
        services.record(by=None, act="lost", target=place)
        raise KeyError
    with transaction.atomic():
        services.record(by=None, act="kept", target=place)
        with suppress(KeyError), transaction.atomic():
            services.record(by=None, act="lost", target=place)
            raise KeyError
        services.record(by=None, act="kept", target=place)
    assert found() == [] and AuditEvent.objects.filter(act="kept").count() == 2


@pytest.mark.django_db(transaction=True)
def test_reconciler_keeps_an_anchor_and_fsck_holds_the_audit_against_it():
    place = InstitutionFactory()
    for number in range(4):
        told(place, number)
    tasks.reconcile()
    kept = anchors.newest()
    assert kept.genuine and kept.events >= 4
    with transaction.atomic():
        told(place, 9)
        assert anchors.keep() is None, "nothing is promised before the commit"
    assert anchors.newest().events == kept.events + 1
    assert anchors.keep() is None, "nothing has happened since"
    assert found() == []


@pytest.mark.django_db(transaction=True)
def test_flush_empties_the_audit_too_and_puts_its_anchors_aside():
    place = InstitutionFactory()
    told(place)
    anchors.keep()
    call_command("flush", interactive=False, verbosity=0)
    assert not AuditEvent.objects.exists() and not AuditLink.objects.exists() and anchors.kept() == []
    assert guards.missing() == []
    told(InstitutionFactory())
    assert found() == []


@pytest.mark.django_db(transaction=True)
def test_audit_that_was_dumped_and_loaded_elsewhere_still_verifies(tmp_path):
    place = InstitutionFactory()
    for number in range(5):
        told(place, number, share=1.0, large=1e22)
    call_command("dumpdata", "diagnostics", "accounts", natural_foreign=True, output=str(tmp_path / "all.json"))
    call_command("flush", interactive=False, verbosity=0)
    call_command("loaddata", str(tmp_path / "all.json"), verbosity=0)
    assert AuditEvent.objects.count() == 5 and found() == []
    told(place)
    assert found() == []


def test_events_of_an_older_version_are_adopted_by_name(events, place):
    sql(inserted(place))
    with pytest.raises(CommandError):
        call_command("audit", "adopt", "--reason", " ")
    call_command("audit", "adopt", "--reason", "Web 1.0 still ran for a minute.", stdout=io.StringIO())
    assert found() == []
    told_of = AuditEvent.objects.get(act="audit_event_adopted")
    assert told_of.target_id == "999999" and told_of.detail == {"reason": "Web 1.0 still ran for a minute."}


@pytest.mark.django_db(transaction=True)
def test_anchors_newer_than_a_restored_database_are_put_aside_with_a_reason(tmp_path):
    place = InstitutionFactory()
    events = [told(place, number) for number in range(8)]
    call_command("audit", "anchor", "--out", str(tmp_path / "anchor.json"), stdout=io.StringIO())
    cut(events, links=True, head=True)
    said = io.StringIO()
    with pytest.raises(CommandError):
        call_command("audit", "verify", "--anchor", str(tmp_path / "anchor.json"), stdout=said)
    assert f"after event {events[-4].pk}" in said.getvalue() and f"up to event {events[-1].pk}" in said.getvalue()
    call_command("audit", "anew", "--reason", "Restored from Sunday's copy.", stdout=io.StringIO())
    assert found() == [] and AuditEvent.objects.get(act="audit_anchored_anew").detail["anchors"] == 1
    with pytest.raises(CommandError):
        call_command("audit", "verify", "--anchor", str(tmp_path / "anchor.json"), stdout=io.StringIO())


# Many at once


def write_at_once(writers: int, each: int) -> tuple[int, list[Exception]]:
    """So many threads write so many events each, in transactions of one to five, some of them rolled back."""
    place = InstitutionFactory()
    people = [UserFactory() for _ in range(writers)]
    wrong: list[Exception] = []
    ready = threading.Barrier(writers)

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            ready.wait()
            left = each
            while left:
                size = min(left, chance.randint(1, 5))
                try:
                    with transaction.atomic():
                        for n in range(size):
                            services.record(by=people[number], act="written", target=place, institution=place, n=n)
                        if chance.random() < 0.05:
                            raise KeyError
                except (KeyError, OperationalError) as error:
                    # SQLite has no queue of writers: of twenty that never pause one may starve for its 20 seconds.
                    assert isinstance(error, KeyError) or "locked" in str(error), error
                else:
                    left -= size
        except (DatabaseError, AssertionError) as error:
            wrong.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return writers * each, wrong


@pytest.mark.django_db(transaction=True)
def test_eight_writers_at_once_leave_chains_that_verify():
    written, wrong = write_at_once(8, 60)
    assert wrong == []
    count = checking.Count()
    assert list(checking.breaks(count)) == []
    assert count.events == written == AuditEvent.objects.filter(act="written").count()
    if connection.vendor == "postgresql":
        assert AuditChain.objects.count() > 1, "writers at once do not wait for each other"


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.django_db(transaction=True)
def test_twenty_writers_of_ten_thousand_events_verify(capsys):
    began = time.monotonic()
    written, wrong = write_at_once(20, 10_000)
    middle = time.monotonic()
    count = checking.Count()
    assert list(checking.breaks(count)) == [] and wrong == []
    assert count.events == written == AuditEvent.objects.filter(act="written").count() == 200_000
    with capsys.disabled():
        print(
            f"\n{connection.vendor}: {written} events by 20 writers in {middle - began:.0f} s, "
            f"{AuditChain.objects.count()} chains; verified in {time.monotonic() - middle:.0f} s"
        )
    victims = [event.pk for event in AuditEvent.objects.filter(act="written")[1000:199_000:66_000]]
    as_attacker(
        f"UPDATE {EVENT} SET act = 'x' WHERE id = {victims[0]}",
        f"DELETE FROM {EVENT} WHERE id = {victims[1]}",
        inserted(None),
    )
    said = [(each.kind, each.where) for each in checking.breaks()]
    assert sorted(said) == sorted(
        [("edited", f"event {victims[0]}"), ("removed", f"event {victims[1]}"), ("inserted", "event 999999")]
    )


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_transaction_that_takes_long_holds_up_no_other_writer():
    place = InstitutionFactory()
    with transaction.atomic():
        services.record(by=None, act="slow", target=place)
        done = []

        def other():
            try:
                told(place)
                done.append(True)
            except DatabaseError as error:
                done.append(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(timeout=5)
        assert done == [True]
    assert found() == []
