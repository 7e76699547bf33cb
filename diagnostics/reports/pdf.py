"""A report as a PDF: pages of A4, the images with their marks drawn, no font or file but reportlab's own.

The standard fonts hold what western European languages need; a letter beyond them is printed as a question mark.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from .content import Mark, Report
from .figures import MarkedImage
from .images import Shown

INK, MUTED, LINE, ACCENT = (colors.HexColor(code) for code in ("#131a22", "#4b5866", "#d5dce4", "#0b5c8a"))
WARN, WARN_SOFT = colors.HexColor("#7a4b00"), colors.HexColor("#fdf3dd")
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=9, leading=12, textColor=INK)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=8, leading=10.5, textColor=MUTED)
BOLD = ParagraphStyle("bold", parent=BODY, fontName="Helvetica-Bold")
HEAD = ParagraphStyle("head", parent=BODY, fontName="Helvetica-Bold", fontSize=11, leading=14, spaceBefore=10)
TITLE = ParagraphStyle("title", parent=BODY, fontName="Helvetica-Bold", fontSize=16, leading=20)
LABEL = ParagraphStyle("label", parent=BODY, fontName="Helvetica-Bold", fontSize=13, leading=16)
WIDTH = A4[0] - 36 * mm
ROOM = (WIDTH, 96 * mm)  # of an image that stands alone
ROOM_IN_PAIRS = (WIDTH / 2 - 4 * mm, 66 * mm)  # three rows on a page

# Pictures by the id of their image, or by None where the scan has only one; (h, w) uint8, in their true shape.
Pictures = Mapping[int | None, np.ndarray]


def draw(report: Report, pictures: Pictures) -> bytes:
    """The document.

    Parameters
    ----------
    report : Report
        What it says.
    pictures : mapping
        See ``Pictures``. An image of a stack without one is told of in words.
    """
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        # A frame of reportlab has six points of its own within.
        leftMargin=18 * mm - 6,
        rightMargin=18 * mm - 6,
        topMargin=16 * mm,
        bottomMargin=22 * mm,
        title=_("Report of a case"),
        author="Overread",
        subject=_("Decision support for research. Not a diagnosis."),
        lang=get_language() or "en",
    )
    document.build(_story(report, pictures), onFirstPage=_foot(report), onLaterPages=_foot(report))
    return out.getvalue()


def _story(report: Report, pictures: Pictures) -> list[Flowable]:
    scan, case = report.case.scan, report.case
    story: list[Flowable] = [
        Paragraph(_text(_("Report of a case")), TITLE),
        Paragraph(_text(str(case.institution)), SMALL),
        Spacer(1, 3 * mm),
    ]
    if not report.done:
        story += [_banner(_("Preliminary: this case is still open.")), Spacer(1, 3 * mm)]
    bits = _("%(bits)d bits") % {"bits": scan.bits}
    facts = [
        (_("Patient"), scan.patient.pseudonym),
        (_("Study"), scan.study.accession or "–"),
        (_("Study date"), _date(scan.study.date) if scan.study.date else _("no date")),
        (_("Image"), f"{scan.format.upper()}, {scan.width} × {scan.height}, {bits}"),
        *([(_("Images"), str(scan.image_count))] if scan.image_count > 1 else []),
        (_("Scan"), str(scan.pk)),
        (_("Read and closed"), _moment(case.done_at) if case.done_at else _("no")),
    ]
    if scan.note:
        facts.insert(-2, (_("Note"), scan.note))
    story += [_facts(facts), Spacer(1, 4 * mm)]
    # A stack may have pages of images: whoever opens the report looks for what was found.
    several = len(pictures) > 1
    if several:
        story += [*_conclusion(report), *_reads(report)]
    story += _images(report, pictures)
    if not several:
        story += [*_conclusion(report), *_reads(report)]
    story += _marks(report)
    story += _opinion(report)
    return story


def _images(report: Report, pictures: Pictures) -> list[Flowable]:
    """The image of a scan; of a stack those that were chosen, two beside each other, each with its caption."""
    scan = report.case.scan
    if report.images is None:
        return [MarkedImage(pictures[None], (scan.width, scan.height), report.marks, ROOM)]
    shown = report.images.shown
    alone = len(shown) == 1
    cells = [_figure(report, each, pictures, ROOM if alone else ROOM_IN_PAIRS) for each in shown]
    across = 1 if alone else 2
    rows = [cells[start : start + across] for start in range(0, len(cells), across)]
    if rows and len(rows[-1]) < across:
        rows[-1].append([])
    story: list[Flowable] = []
    if rows:
        style = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)])
        story.append(Table(rows, colWidths=[WIDTH / across] * across, style=style, hAlign="LEFT"))
    if report.images.left_out:
        numbers = ", ".join(str(number) for number in report.images.left_out)
        words = _("Named as well, and not shown here: images %(numbers)s.") % {"numbers": numbers}
        story.append(Paragraph(_text(words), SMALL))
    return story


def _figure(report: Report, each: Shown, pictures: Pictures, room: tuple[float, float]) -> list[Flowable]:
    image = each.image
    picture = pictures.get(image.pk)
    drawn: Flowable
    if picture is None:
        drawn = _banner(_("The stored file of this image is missing."), room[0])
    else:
        marks = [mark for mark in report.marks if mark.image == each.number]
        drawn = MarkedImage(picture, (image.width, image.height), marks, room)
    place = _("Image %(number)d of %(images)d") % {"number": each.number, "images": report.case.scan.image_count}
    if image.position is not None:
        place = _("%(image)s, at %(position)s mm") % {"image": place, "position": f"{image.position:.1f}"}
    return [drawn, Spacer(1, 1 * mm), Paragraph(_text(place), BOLD), Paragraph(_text("; ".join(each.reasons)), SMALL)]


def _conclusion(report: Report) -> list[Flowable]:
    if not report.done:
        return []
    said = [Paragraph(_text(report.label or "–"), LABEL)]
    if report.label_source:
        said.append(Paragraph(_text(_("By: %(seat)s") % {"seat": report.label_source}), SMALL))
    return [KeepTogether([Paragraph(_text(_("Label")), HEAD), *said])]


def _reads(report: Report) -> list[Flowable]:
    head = Paragraph(_text(_("Reads")), HEAD)
    if not report.statements:
        return [head, Paragraph(_text(_("None that you may see yet.")), BODY)]
    rows: list[list[Any]] = [[_("Reader"), _("Read"), _("Finding and confidence"), _("When")]]
    for each in report.statements:
        label: list[Any] = [Paragraph(_text(each.headline), BOLD)]
        label += [Paragraph(_text(words), SMALL) for words in each.lines]
        rows.append([each.seat, each.kind, label, _moment(each.at)])
    return [head, _table(rows, (0.2, 0.19, 0.4, 0.21))]


def _marks(report: Report) -> list[Flowable]:
    if not report.marks:
        return []
    rows = [[_("No."), _("Annotation"), _("Measured"), _("By"), _("Text")]]
    rows += [[str(each.number), _kind_of(each), each.measure or "–", each.seat, each.text] for each in report.marks]
    return [Paragraph(_text(_("Annotations on the image")), HEAD), _table(rows, (0.07, 0.19, 0.25, 0.2, 0.29))]


def _kind_of(mark: Mark) -> str:
    if not mark.image:
        return mark.words
    return _("%(annotation)s, image %(number)s") % {"annotation": mark.words, "number": mark.image}


def _opinion(report: Report) -> list[Flowable]:
    head = Paragraph(_text(_("AI result")), HEAD)
    said = report.opinion
    if said is None:
        return [KeepTogether([head, Paragraph(_text(report.no_opinion), BODY)])]
    facts = [
        (_("AI result"), said.label),
        (_("Probability of a tumour"), _percent(said.tumour_probability)),
        (_("All answers"), "; ".join(f"{label} {_percent(value)}" for label, value in said.answers)),
        (_("Model version"), said.model),
        (_("Weights (SHA-256)"), said.sha256),
        (_("Given"), _moment(said.at)),
    ]
    if said.warnings:
        facts.append((_("Warnings"), " ".join(said.warnings)))
    note = _("Created by a network for research, not by a person. It does not show the extent of a lesion.")
    return [KeepTogether([head, _facts(facts), Spacer(1, 1 * mm), Paragraph(_text(note), SMALL)])]


# --- pieces


def _text(words: str) -> str:
    """Words for a paragraph: nothing in them is markup, and what the fonts lack is a question mark."""
    return escape(words.encode("cp1252", "replace").decode("cp1252")).replace("\n", "<br/>")


def _facts(facts: Sequence[tuple[str, str]]) -> Table:
    rows = [[Paragraph(_text(name), SMALL), Paragraph(_text(value), BODY)] for name, value in facts]
    return Table(
        rows,
        colWidths=[0.26 * WIDTH, 0.74 * WIDTH],
        style=TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (0, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 1.2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.2),
            ]
        ),
        hAlign="LEFT",
    )


def _table(rows: Sequence[Sequence[Any]], shares: Sequence[float]) -> Table:
    """A table whose first row is its head, repeated where it breaks."""
    cells = [
        [cell if isinstance(cell, list) else Paragraph(_text(cell), SMALL if not at else BODY) for cell in row]
        for at, row in enumerate(rows)
    ]
    style = TableStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ]
    )
    return Table(cells, colWidths=[share * WIDTH for share in shares], style=style, repeatRows=1, hAlign="LEFT")


def _banner(words: str, width: float = WIDTH) -> Table:
    style = ParagraphStyle("banner", parent=BOLD, textColor=WARN)
    return Table(
        [[Paragraph(_text(words), style)]],
        colWidths=[width],
        style=TableStyle([("BACKGROUND", (0, 0), (-1, -1), WARN_SOFT), ("BOX", (0, 0), (-1, -1), 0.5, WARN)]),
    )


def _foot(report: Report) -> Any:
    """What stands below every page."""

    def draw_foot(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setStrokeColor(LINE)
        canvas.line(18 * mm, 17 * mm, A4[0] - 18 * mm, 17 * mm)
        canvas.setFillColor(INK)
        canvas.setFont("Helvetica-Bold", 8)
        canvas.drawString(18 * mm, 13 * mm, _plain(_("Decision support for research. Not a diagnosis.")))
        canvas.setFillColor(MUTED)
        canvas.setFont("Helvetica", 8)
        made = _("Created by Overread, %(at)s") % {"at": _moment(report.made_at)}
        canvas.drawString(18 * mm, 9 * mm, _plain(made))
        page = _("Page %(number)d") % {"number": document.page}
        canvas.drawRightString(A4[0] - 18 * mm, 9 * mm, _plain(page))
        canvas.restoreState()

    return draw_foot


def _plain(words: str) -> str:
    return words.encode("cp1252", "replace").decode("cp1252")


def _date(day: Any) -> str:
    return str(date_format(day, "DATE_FORMAT"))


def _moment(at: Any) -> str:
    return f"{date_format(timezone.localtime(at), 'DATE_FORMAT')}, {timezone.localtime(at):%H:%M}"


def _percent(value: float) -> str:
    if 0 < value < 0.01:
        return "< 1 %"
    if 0.99 < value < 1:
        return "> 99 %"
    return f"{value * 100:.0f} %"
