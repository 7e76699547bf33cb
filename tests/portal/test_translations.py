"""Every word a person sees exists in every language on offer, and is shown in theirs."""

import io
import os
from datetime import UTC, datetime
from gettext import GNUTranslations
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.urls import reverse
from django.utils import translation

from diagnostics.scans.access import Role
from diagnostics.scans.stored_messages import FORMER_SENTENCES, in_words
from mlcore.images.decoded import ACCEPTED, Refused
from portal.ui import catalogues, translations
from portal.ui.templatetags.overread import when
from tests import factories as made

OTHERS = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


@pytest.fixture(scope="module")
def said():
    return catalogues.collect(Path(settings.BASE_DIR))


@pytest.mark.parametrize("language", OTHERS)
def test_catalogue_has_words_for_everything_that_is_said(said, language):
    path = Path(settings.LOCALE_PATHS[0]) / language / "LC_MESSAGES" / "django.po"
    assert catalogues.faults(path, language, said) == []


@pytest.mark.parametrize("language", OTHERS)
def test_compiled_catalogue_says_what_babel_makes_of_it(language, tmp_path):
    source = Path(settings.LOCALE_PATHS[0]) / language / "LC_MESSAGES" / "django.po"
    with source.open("rb") as file:
        catalogue = read_po(file)
    for message in list(catalogue):
        if message.id and not all([message.string] if isinstance(message.string, str) else message.string):
            catalogue.delete(message.id, message.context)
    expected = io.BytesIO()
    write_mo(expected, catalogue)
    made = GNUTranslations(io.BytesIO(translations.compiled(source.read_text(encoding="utf-8"))))
    expected.seek(0)
    theirs = GNUTranslations(expected)
    assert made._catalog == theirs._catalog and len(made._catalog) > 1000
    assert made.info()["plural-forms"] == theirs.info()["plural-forms"]


def test_catalogue_is_compiled_when_it_is_new_and_left_alone_when_it_is_not(tmp_path):
    source = tmp_path / "de" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
    source.write_text(head + 'msgctxt "of a month"\nmsgid "May"\nmsgstr ""\n"M"\n"ai"\n\nmsgid "wait"\nmsgstr ""\n')
    translations.compile_new(tmp_path)
    target = source.with_suffix(".mo")
    made = GNUTranslations(io.BytesIO(target.read_bytes()))
    assert (made.pgettext("of a month", "May"), made.gettext("wait")) == ("Mai", "wait")
    first = target.stat().st_mtime_ns
    translations.compile_new(tmp_path)
    assert target.stat().st_mtime_ns == first and sorted(path.name for path in source.parent.iterdir()) == [
        "django.mo", "django.po",
    ]  # fmt: skip
    source.write_text(head + '#, fuzzy\nmsgid "May"\nmsgstr "Darf"\n\nmsgid "wait"\nmsgstr "warte \\"hier\\""\n')
    os.utime(source, ns=(first + 10**9, first + 10**9))
    translations.compile_new(tmp_path)
    made = GNUTranslations(io.BytesIO(target.read_bytes()))
    assert (made.gettext("May"), made.gettext("wait")) == ("May", 'warte "hier"')


def test_catalogue_that_cannot_be_compiled_is_told_and_stops_nothing(tmp_path, monkeypatch, caplog):
    source = tmp_path / "de" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    source.write_text('msgid ""\nmsgstr ""\n')

    def refuse(_source: Path) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(translations, "write", refuse)
    translations.compile_new(tmp_path)
    assert "stays English" in caplog.text


def test_messages_of_templates_and_code_are_found(said):
    assert said.get("Read next") is not None, "of a template"
    assert said.get("uploaded a scan") is not None, "of the domain"
    assert said.get(ACCEPTED) is not None, "of the decoder"
    assert len(said) > 1000


def test_catalogue_is_faulty_where_a_placeholder_is_lost(said, tmp_path):
    source = Path(settings.LOCALE_PATHS[0]) / "de" / "LC_MESSAGES" / "django.po"
    path = tmp_path / "django.po"
    path.write_text(
        source.read_text().replace('msgstr "%(version)s ist bereits im Einsatz."', 'msgstr "Schon im Einsatz."')
    )
    assert any("other placeholders" in fault for fault in catalogues.faults(path, "de", said))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "words"), [("de", "Bei Overread anmelden"), ("es", "Iniciar sesión en Overread")]
)
def test_page_follows_the_browser(client, language, words):
    page = client.get(reverse("accounts:sign-in"), headers={"accept-language": f"{language},en;q=0.5"})
    assert words in page.content.decode()
    assert f'<html lang="{language}"' in page.content.decode()
    assert page.headers["Content-Language"] == language


@pytest.mark.django_db
def test_chosen_language_holds_in_every_browser(client):
    person = made.person(Role.RADIOLOGIST, made.InstitutionFactory())
    client.force_login(person)
    answer = client.post(
        reverse("accounts:account"), {"first_name": "", "last_name": "", "email": "", "language": "es"}
    )
    assert answer.status_code == 302
    page = client.get(reverse("accounts:account"), headers={"accept-language": "de"})
    assert '<html lang="es"' in page.content.decode()
    assert "Sus datos" in page.content.decode()


@pytest.mark.django_db
def test_unknown_language_is_refused(client):
    person = made.person(Role.RADIOLOGIST, made.InstitutionFactory())
    client.force_login(person)
    answer = client.post(reverse("accounts:account"), {"language": "xx"})
    assert answer.status_code == 400
    person.refresh_from_db()
    assert person.language == ""


def test_refusal_written_in_english_is_shown_in_the_readers_language():
    small = Refused("too_small", "The image is too small to show a brain: 8 × 8 pixels.")
    assert in_words(small.sentence, small.code) == small.sentence
    with translation.override("de"):
        assert in_words(Refused("empty").sentence, "empty").startswith("Die Datei ist leer. Angenommen werden")
        # The sizes are in no catalogue: the general sentence stands in for them.
        assert in_words(small.sentence, small.code).startswith("Das Bild ist zu klein für eine Hirnaufnahme.")
        assert in_words("Nobody translated this.") == "Nobody translated this."


def test_sentence_stored_before_the_wording_changed_is_shown_as_it_is_said_now(said):
    for former, now in FORMER_SENTENCES.items():
        assert in_words(former) == now and said.get(now) is not None
        with translation.override("de"):
            assert in_words(former) == translation.gettext(now) != now


def test_dates_are_written_by_language():
    moment = datetime(2026, 1, 3, 14, 7, tzinfo=UTC)
    shown = {}
    for language in ("en", "de", "es"):
        with translation.override(language):
            shown[language] = str(when(moment))
    assert "3 Jan 2026, 14:07" in shown["en"]
    assert "3. Jan 2026, 14:07" in shown["de"]
    assert "3 ene 2026, 14:07" in shown["es"].lower()
