"""What a person may be told when something is refused stands in the catalogues: no sentence is given untranslated."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
TRANSLATED = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
KINDS = {"Invalid", "Conflict", "Denied", "NotFound", "Unavailable"}
OTHERS = {"ValidationError", "PermissionDenied", "BadRequest", "CommandError", "add_error", "needed", "require"}
OF_MESSAGES = {"debug", "info", "success", "warning", "error"}
# Tools of whoever develops Overread; nobody else starts them.
FOR_DEVELOPERS = {"portal/ui/management/commands/catalogues.py"}
SENTENCE = re.compile(r"[A-Za-z]{2,} [A-Za-z]|[A-Za-z]{3,}\.$")


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for room in ("portal", "diagnostics"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if "/migrations/" not in name and name not in FOR_DEVELOPERS:
                yield name, ast.parse(path.read_text())


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _refusals(trees: list[ast.Module]) -> set[str]:
    """The names of the errors that derive from one of the kinds of ``diagnostics.errors``."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = {"DomainError", *KINDS}
    while more := {each.name for each in classes if found & {_name(base) for base in each.bases}} - found:
        found |= more
    return found


def _tells(call: ast.Call, refusals: set[str]) -> bool:
    name = _name(call.func)
    if isinstance(call.func, ast.Attribute) and name in OF_MESSAGES:
        return _name(call.func.value) == "messages"
    return name in refusals | OTHERS


def _bare(node: ast.AST) -> Iterator[str]:
    """The sentences in an argument that no call of gettext encloses."""
    if isinstance(node, ast.Call) and _name(node.func) in TRANSLATED:
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and SENTENCE.search(node.value):
            yield node.value
        return
    if isinstance(node, ast.JoinedStr):
        text = "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        if SENTENCE.search(text):
            yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from _bare(child)


def untranslated(tree: ast.Module, refusals: set[str]) -> Iterator[tuple[int, str]]:
    """The line and the words of each sentence that a person would meet in English whatever their language."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _tells(node, refusals):
            given = [*node.args, *(each.value for each in node.keywords)]
            yield from ((node.lineno, words) for each in given for words in _bare(each))
        if isinstance(node, ast.ClassDef) and node.name in refusals:
            kept = [each for each in node.body if isinstance(each, ast.Assign) and _name(each.targets[0]) == "message"]
            yield from ((each.lineno, words) for each in kept for words in _bare(each.value))


def test_no_sentence_is_told_untranslated():
    sources = dict(_sources())
    refusals = _refusals(list(sources.values()))
    assert {"WrongStage", "NotAllowed", "NotFresh", "ExceptionMissing"} <= refusals
    found = [
        f"{name}:{line}: {words}" for name, tree in sources.items() for line, words in untranslated(tree, refusals)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ('raise WrongStage("This is over.")', True),
        ('raise WrongStage(f"{name} has it.")', True),
        ('raise WrongStage("%(n)s cases wait." % said)', True),
        ('messages.info(request, "It is done.")', True),
        ('raise CommandError("Name a folder.")', True),
        ('raise ValidationError("Too long.", code="long")', True),
        ('class Late(Conflict):\n    message = "Come earlier."', True),
        ('raise WrongStage(_("This is over."))', False),
        ('raise WrongStage(gettext_lazy("%(n)s cases wait."), {"n": 3})', False),
        ('raise InvalidRead("label", sentence, accepted=codes)', False),
        ('class Late(Conflict):\n    message = _("Come earlier.")', False),
        ('log.info("it is done")', False),
    ],
)
def test_untranslated_sentence_is_found(source, faulty):
    refusals = {"WrongStage", "InvalidRead", "Late"}
    assert bool(list(untranslated(ast.parse(source), refusals))) is faulty
