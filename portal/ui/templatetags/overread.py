"""Small things that every page draws the same way: icons, chips, bars, times."""

import re
from datetime import datetime
from typing import Any

from django import template
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import DatasetItem
from diagnostics.monitoring.models import Watched
from diagnostics.reviews.double_reading import count_for
from diagnostics.reviews.reading import beside_label, lines
from diagnostics.reviews.words import label_in_words
from portal.ui.icons import ICONS
from portal.ui.modules import imported_by
from portal.ui.series_words import series_in_words
from portal.ui.warnings import warning_sentence, warnings_in_short

register = template.Library()
register.filter("warning_sentence", warning_sentence)
register.filter("warnings_in_short", warnings_in_short)
register.filter("beside_label", beside_label)
register.filter("lines_below", lines)
register.filter("series_in_words", series_in_words)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon; silent to screen readers unless it has a label of its own."""
    drawing = mark_safe(ICONS[name])  # noqa: S308 - our own constants
    if label:
        return format_html('<svg class="icon" viewBox="0 0 24 24" role="img" aria-label="{}">{}</svg>', label, drawing)
    return format_html('<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{}</svg>', drawing)


@register.simple_tag
def longest_text() -> int:
    """How many characters a comment may have, or a reason in words."""
    return LONGEST_TEXT


@register.simple_tag(takes_context=True)
def nobodys_cases(context: Any) -> int:
    """How many cases wait for nobody where this person could do something about it."""
    return count_for(context["user"])


@register.simple_tag
def icon_drawing(name: str) -> SafeString:
    """Only the inside of an icon, where the template brings its own ``<svg>``."""
    return mark_safe(ICONS[name])  # noqa: S308 - our own constants


_SPINNER = mark_safe('<span class="spinner" aria-hidden="true"></span>')
_STATES: dict[str, tuple[Any, str, str]] = {
    "arriving": (gettext_lazy("Arriving"), "quiet", "clock"),
    "not_analysed": (gettext_lazy("Not analysed"), "quiet", "eye-off"),
    "queued": (gettext_lazy("Queued"), "quiet", "clock"),
    "analysing": (gettext_lazy("Analysing"), "info", ""),
    "ready": (gettext_lazy("Ready"), "ok", "check"),
    "failed": (gettext_lazy("No AI result"), "danger", "alert"),
    "rejected": (gettext_lazy("Not readable"), "warn", "stop"),
}


@register.simple_tag
def module(name: str) -> SafeString:
    """A script of ours as ``<script type="module">``, with hints to fetch whatever it imports at the same time."""
    hints = format_html_join(
        "\n", '<link rel="modulepreload" href="{}">', ((static(each),) for each in imported_by(name))
    )
    return format_html('{}\n<script type="module" src="{}"></script>', hints, static(name))


@register.simple_tag
def state_chip(state: str) -> SafeString:
    """How far the work on a scan has come, as word, colour and icon."""
    text, tone, drawing = _STATES[state]
    return format_html('<span class="chip chip--{}">{}{}</span>', tone, icon(drawing) if drawing else _SPINNER, text)


@register.simple_tag
def priority_chip(priority: int) -> SafeString:
    """A scan's priority as word and colour."""
    text, tone = {0: (_("STAT"), "danger"), 1: (_("Urgent"), "warn")}.get(int(priority), (_("Routine"), "quiet"))
    return format_html('<span class="chip chip--{}">{}</span>', tone, text)


@register.simple_tag
def bar(value: float, tone: str = "", label: str = "", wide: bool = False) -> SafeString:
    """A bar of ``value`` (0 to 1). Without a label it is decoration beside a number."""
    width = f"{max(0.0, min(1.0, float(value))) * 100:.1f}"
    classes = " ".join(["bar", *([f"bar--{tone}"] if tone else []), *(["bar--wide"] if wide else [])])
    said = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="{}" viewBox="0 0 100 6" preserveAspectRatio="none" {}><rect class="bar__track" width="100" '
        'height="6"></rect><rect class="bar__fill" width="{}" height="6" rx="2"></rect></svg>',
        classes,
        said,
        width,
    )


@register.simple_tag
def ago(moment: datetime | None) -> SafeString | str:
    """A moment as "12 min ago", with the full time in the title and for machines."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 60:
        text = _("just now")
    elif seconds < 7 * 86400:
        text = _("%(time)s ago") % {"time": timesince(moment, depth=1)}
    else:
        text = date_format(local, "DATE_FORMAT")
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), _full(local), text)


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """A moment as "23 Nov 2026, 12:03"."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        _full(local),
        date_format(local, "DATETIME_FORMAT"),
    )


def _full(local: datetime) -> str:
    return f"{date_format(local, 'DATE_FORMAT')}, {local:%H:%M:%S %Z}"


@register.filter
def percent(value: float | None) -> str:
    """0.942 as "94 %"; nothing as a dash. Never 0 % or 100 %: no model is that sure."""
    if value is None:
        return "–"
    if 0 < value < 0.01:
        return "< 1 %"
    if 0.99 < value < 1:
        return "> 99 %"
    return f"{value * 100:.0f} %"


@register.filter
def minus(number: str) -> str:
    """A written number with a true minus in place of the hyphen."""
    return number.replace("-", "−")


@register.filter
def duration(seconds: float) -> str:
    """Seconds as a person says them: "40 s", "12 min", "3 h"."""
    if seconds < 90:
        return _("%(n)d s") % {"n": round(seconds)}
    if seconds < 5400:
        return _("%(n)d min") % {"n": round(seconds / 60)}
    return _("%(n)d h") % {"n": round(seconds / 3600)}


@register.simple_tag
def alert_name(watched: str) -> str:
    """What a limit is of, in words."""
    return str(Watched(watched).label)


@register.simple_tag
def source_words(source: str) -> str:
    """Where a dataset's label comes from, as a person reads it."""
    return str(DatasetItem.LabelSource(source).label)


@register.simple_tag
def label_words(label: str) -> str:
    """A label's code as a person reads it."""
    return label_in_words(label)


_AT = re.compile(r"(?<![\w.@+-])@[\w.@+-]*\w")


@register.filter(needs_autoescape=True)
def mentions(text: str, autoescape: bool = True) -> SafeString:
    """A text with each ``@name`` in it made visible."""
    drawn = _AT.sub(lambda found: f'<span class="at">{found[0]}</span>', conditional_escape(text))
    return mark_safe(drawn)  # noqa: S308 - escaped above


@register.filter
def initials(user: AbstractUser) -> str:
    """Two letters for the round badge in the header."""
    names = [part for part in (user.first_name, user.last_name) if part] or [user.username]
    return "".join(part[0] for part in names[:2]).upper()


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: object) -> str:
    """The page's query string with some values changed; an empty value takes the parameter away."""
    request: HttpRequest = context["request"]
    params = request.GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            params.pop(name, None)
        else:
            params[name] = str(value)
    return f"?{params.urlencode()}" if params else "?"


def _key_in_words(key: str) -> str:
    return _("Space") if key == "Space" else key


def _kbd(key: str) -> SafeString:
    """A key as it is drawn: "Shift+1" as two."""
    parts = key.split("+") if len(key) > 1 else [key]
    return mark_safe(" + ".join(format_html("<kbd>{}</kbd>", _key_in_words(part)) for part in parts))  # noqa: S308


@register.simple_tag(takes_context=True)
def key(context: dict[str, Any], action: str) -> SafeString | str:
    """The key of an action as a hint beside its button; nothing where it has none. ``keys`` is in the context."""
    chosen = context["keys"].key(action)
    return format_html('<kbd aria-hidden="true">{}</kbd>', _key_in_words(chosen)) if chosen else ""


@register.simple_tag(takes_context=True)
def key_said(context: dict[str, Any], action: str) -> str:
    """The key of an action for the end of a title: " (w)"."""
    chosen = context["keys"].key(action)
    return f" ({_key_in_words(chosen)})" if chosen else ""


@register.simple_tag(takes_context=True)
def keys_of(context: dict[str, Any], *actions: str) -> SafeString:
    """The keys of some actions in the list of keys, each hidden by the page's script while it does nothing."""
    drawn = [
        format_html('<span data-key-of="{}">{}</span>', action, _kbd(context["keys"].key(action)))
        for action in actions
        if context["keys"].key(action)
    ]
    return mark_safe(" ".join(drawn))  # noqa: S308 - escaped above
