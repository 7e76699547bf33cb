"""The style sheets hold no fault, and nothing that no page uses. PyPI has no linter for CSS that is kept up."""

import re
from collections import Counter

from tests.styles.sheets import ROOT, SHEETS, classes, rules

# Given by Django's admin and by htmx, not by us.
OTHERS = {"htmx-indicator", "htmx-request", "inline-group", "readonly", "vTextField"}


def sources() -> str:
    """All that can name a class: templates, scripts and our Python."""
    patterns = ("templates/**/*.html", "static/js/**/*.js", "portal/**/*.py")
    return "\n".join(path.read_text() for pattern in patterns for path in ROOT.glob(pattern))


def test_style_sheets_are_read_without_a_fault():
    assert len(SHEETS) > 10 and {rule.sheet for rule in rules()} == {path.name for path in SHEETS}


def test_every_class_with_a_style_is_named_somewhere():
    """By its whole name, or by the beginning of one that is put together, as in ``chip--{{ tone }}``."""
    said = sources()
    words = set(re.findall(r"[\w-]+", said)) | OTHERS
    begun = tuple(set(re.findall(r"\b([a-z_]+--)(?=\$?\{)", said)))
    styled = {name for rule in rules() for name in classes(rule.selector)}
    assert len(styled) > 300 and {"chip--", "outcome--"} <= set(begun)
    assert sorted(name for name in styled - words if not name.startswith(begun)) == []


def test_every_custom_property_is_set_and_used():
    everything = list(rules())
    values = " ".join(value for rule in everything for _name, value in rule.declarations)
    used = set(re.findall(r"var\(\s*(--[\w-]+)", values + sources()))
    made = {name for rule in everything for name, _value in rule.declarations if name.startswith("--")}
    given_by_scripts = set(re.findall(r"(--[\w-]+)", sources()))
    of_the_admin = {name for rule in everything if rule.sheet.startswith("admin") for name, _ in rule.declarations}
    assert used - made - given_by_scripts == set()
    assert made - used - of_the_admin == set()


def test_no_rule_says_a_property_twice_with_the_same_value():
    twice = [
        f"{rule.place} {name}"
        for rule in rules()
        for (name, _value), times in Counter(rule.declarations).items()
        if times > 1
    ]
    assert twice == []


def test_what_is_hidden_while_it_is_empty_can_be_empty():
    """To ``:empty`` a line break is something: an element that it hides is written with nothing before its content."""
    selectors = " ".join(token.serialize() for rule in rules() for token in rule.selector).replace(" ", "")
    hidden = set(re.findall(r"\.([\w-]+):empty", selectors))
    assert hidden
    spaced = [
        f"{path.relative_to(ROOT)}: {tag[0].strip()}"
        for path in ROOT.glob("templates/**/*.html")
        for tag in re.finditer(r"""<\w+\b(?:"[^"]*"|{%.*?%}|{{.*?}}|[^>"])*>\s+""", path.read_text())
        if hidden & set(re.findall(r"[\w-]+", "".join(re.findall(r'class="([^"]*)"', tag[0]))))
    ]
    assert spaced == []
