"""One tree of errors: whatever the domain refuses has a kind, a code, and a sentence in its reader's language."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation
from django.utils.translation import gettext_lazy, ngettext_lazy

import diagnostics
from diagnostics.errors import Conflict, Denied, DomainError, Invalid, NotFound, Unavailable
from diagnostics.management.commands.fsck import Command
from diagnostics.registry.refusals import ReasonMissing
from diagnostics.reviews.errors import InvalidRead, WrongStage

KINDS = (Invalid, Conflict, Denied, NotFound, Unavailable)
# Faults of our own program, or what one worker tells another: nobody has asked for anything that could be refused.
FAULTS = {
    "AuditIsAppendOnly",
    "LostLease",
    # What an archive, a peer or a receiver did; a worker keeps it with the row.
    "NotAFile",
    "NotAResult",
    "NotAsked",
    "NotInTransaction",
    "NotReached",
    "NothingToAsk",
    "RegistryIsAppendOnly",
    "UnreadableAnchor",
}
# Stops the program before Django's translations are there; a CommandError by itself.
OF_THE_START = {"NamesCollide"}
WORKER_ONLY = ("inference", "scoring", "fitting")


def _errors() -> Iterator[type[Exception]]:
    """Every exception that a module of the domain defines."""
    for found in pkgutil.walk_packages(diagnostics.__path__, "diagnostics."):
        if "migrations" in found.name or found.name.endswith(WORKER_ONLY):
            continue
        for each in vars(importlib.import_module(found.name)).values():
            if isinstance(each, type) and issubclass(each, Exception) and each.__module__ == found.name:
                yield each


def test_every_refusal_is_of_the_tree():
    strangers = {each.__name__ for each in _errors() if not issubclass(each, DomainError)}
    assert strangers == FAULTS | OF_THE_START


def test_every_refusal_has_one_kind_and_a_code():
    for each in _errors():
        if issubclass(each, DomainError) and each.__module__ != "diagnostics.errors":
            assert issubclass(each, KINDS), each
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", each.code), each


def test_sentence_is_in_the_language_of_whoever_reads_it():
    refused = WrongStage(gettext_lazy("Your blind read is already submitted. Record the final read."))
    assert str(refused) == "Your blind read is already submitted. Record the final read."
    with translation.override("de"):
        assert refused.sentence == "Ihr Blindbefund ist bereits abgegeben. Halten Sie den Endbefund fest."


@pytest.mark.parametrize(("n", "said"), [(1, "1 Fall ist"), (2, "2 Fälle sind")])
def test_parameters_decide_the_plural_where_it_is_read(n, said):
    message = ngettext_lazy("%(n)d case is unassigned.", "%(n)d cases are unassigned.", "n")
    refused = Conflict(message, {"n": n})
    with translation.override("de"):
        assert str(refused).startswith(said)


def test_percent_sign_without_parameters_stays():
    assert str(Invalid("At most 5 % may differ.")) == "At most 5 % may differ."


def test_fault_names_its_field_and_what_that_would_take():
    refused = InvalidRead("reason", "Choose another.", accepted=["other"])
    assert (refused.code, refused.field, refused.accepted) == ("invalid", "reason", ["other"])
    assert (ReasonMissing("Say why.").field, ReasonMissing("Say why.").code) == ("reason", "invalid")


def test_command_ends_with_the_sentence(monkeypatch):
    def refused(self, *args, **options):
        raise WrongStage("There is nothing to do.")

    monkeypatch.setattr(Command, "handle", refused)
    with pytest.raises(CommandError, match=r"^There is nothing to do\.$") as told:
        call_command("fsck")
    assert told.value.returncode == 1
