"""The documents name files that are there, and the glossary names every model and every room."""

import re

import pytest
from django.apps import apps

from tests.processes import ROOT

NAMED = re.compile(r"`((?:portal|diagnostics|mlcore|tests|templates|static|docs|benchmarks)/[\w./-]*?)(?:: [\w, ]+)?`")
MAPS = ("docs/contributing.md", "docs/house.md", "docs/the-way-of-a-scan.md", "docs/index.md", "README.md")


@pytest.mark.parametrize("document", MAPS)
def test_document_names_only_what_is_there(document):
    found = NAMED.findall((ROOT / document).read_text())
    assert [path for path in found if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", MAPS)
def test_document_links_only_to_what_is_there(document):
    page = ROOT / document
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_picture_of_the_rooms_names_every_room():
    text = (ROOT / "docs" / "contributing.md").read_text()
    rooms = [
        folder.name
        for layer in ("portal", "diagnostics", "mlcore")
        for folder in (ROOT / layer).iterdir()
        if (folder / "__init__.py").exists() and folder.name not in ("migrations", "management", "formats")
    ]
    assert [name for name in sorted(rooms) if not re.search(rf"\b{name}\b", text)] == []


def test_glossary_names_every_model():
    words = (ROOT / "docs" / "glossary.md").read_text().lower().replace("-", " ")
    models = [model for app in ("diagnostics", "accounts") for model in apps.get_app_config(app).get_models()]
    names = {model.__name__: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__).lower() for model in models}
    assert [
        name for name, said in sorted(names.items()) if f"`{name.lower()}`" not in words and said not in words
    ] == []
