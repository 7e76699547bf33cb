"""A report as a PDF: one or two pages of A4, the image with its marks drawn, no font or file but reportlab's own.

The standard fonts hold what western European languages need; a letter beyond them is printed as a question mark.
"""

import io
import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from diagnostics.annotations.measure import REGIONS
from diagnostics.annotations.models import Kind

from .content import Mark, Report

INK, MUTED, LINE, ACCENT = (colors.HexColor(code) for code in ("#131a22", "#4b5866", "#d5dce4", "#0b5c8a"))
WARN, WARN_SOFT = colors.HexColor("#7a4b00"), colors.HexColor("#fdf3dd")
MARK = colors.HexColor("#ffd23f")  # on grey values of every kind it stands out; a dark edge holds it on white
EDGE = colors.HexColor("#1b1b1b")
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=9, leading=12, textColor=INK)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=8, leading=10.5, textColor=MUTED)
BOLD = ParagraphStyle("bold", parent=BODY, fontName="Helvetica-Bold")
HEAD = ParagraphStyle("head", parent=BODY, fontName="Helvetica-Bold", fontSize=11, leading=14, spaceBefore=10)
TITLE = ParagraphStyle("title", parent=BODY, fontName="Helvetica-Bold", fontSize=16, leading=20)
LABEL = ParagraphStyle("label", parent=BODY, fontName="Helvetica-Bold", fontSize=13, leading=16)
WIDTH = A4[0] - 36 * mm
IMAGE_HEIGHT = 96 * mm
PAIR_HEIGHT = 70 * mm


def draw(report: Report, pictures: Sequence[np.ndarray]) -> bytes:
    """The document.

    Parameters
    ----------
    report : Report
        What it says.
    pictures : sequence of numpy.ndarray, shape (h, w), dtype uint8
        Those of `report.figures`, as a screen shows them, in their true shape; they may be smaller than the images.
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


def _story(report: Report, pictures: Sequence[np.ndarray]) -> list[Flowable]:
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
        (_("Scan"), str(scan.pk)),
        (_("Read and closed"), _moment(case.done_at) if case.done_at else _("no")),
    ]
    if scan.note:
        facts.insert(4, (_("Note"), scan.note))
    story += [_facts(facts), Spacer(1, 4 * mm), *_figures(report, pictures)]
    story += _conclusion(report)
    story += _reads(report)
    story += _marks(report)
    story += _opinion(report)
    return story


def _figures(report: Report, pictures: Sequence[np.ndarray]) -> list[Flowable]:
    """One image as large as the place allows; several in pairs, each with what it is."""
    if len(pictures) == 1:
        (figure,) = report.figures
        shown: list[Flowable] = [MarkedImage(pictures[0], report, figure.number, (WIDTH, IMAGE_HEIGHT))]
        return [*shown, Paragraph(_text(figure.caption), SMALL)] if figure.caption else shown
    half = (WIDTH / 2 - 3 * mm, PAIR_HEIGHT)
    cells = [
        [MarkedImage(picture, report, figure.number, half), Paragraph(_text(figure.caption), SMALL)]
        for figure, picture in zip(report.figures, pictures, strict=True)
    ]
    rows = [cells[at : at + 2] for at in range(0, len(cells), 2)]
    rows[-1] += [[]] * (2 - len(rows[-1]))
    table = Table(rows, colWidths=[WIDTH / 2] * 2)
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
    if not report.figures_left_out:
        return [table]
    words = ngettext(
        "%(n)d more image was named or annotated. It is not shown here.",
        "%(n)d more images were named or annotated. They are not shown here.",
        report.figures_left_out,
    )
    return [table, Paragraph(_text(words % {"n": report.figures_left_out}), SMALL)]


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


def _banner(words: str) -> Table:
    style = ParagraphStyle("banner", parent=BOLD, textColor=WARN)
    return Table(
        [[Paragraph(_text(words), style)]],
        colWidths=[WIDTH],
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


class MarkedImage(Flowable):
    """An image with its marks, as large as the place allows, each mark with its number."""

    def __init__(self, picture: np.ndarray, report: Report, number: int, place: tuple[float, float]) -> None:
        super().__init__()
        scan = report.case.scan
        height, width = picture.shape
        scale = min(place[0] / width, place[1] / height)
        self.width, self.height = width * scale, height * scale
        # Points on paper for a pixel of the scan, in which marks are given, along a row and a column of it.
        self.scale = (self.width / scan.width, self.height / scan.height)
        self.hAlign = "CENTER"
        self.picture, self.marks = picture, [mark for mark in report.marks if mark.image == number]

    def draw(self) -> None:
        canvas = self.canv
        image = Image.fromarray(self.picture)
        canvas.drawImage(ImageReader(image), 0, 0, self.width, self.height)
        canvas.setLineJoin(1)
        taken: list[tuple[float, float]] = []
        for mark in self.marks:
            points = [(x * self.scale[0], self.height - y * self.scale[1]) for x, y in mark.points]
            for colour, thick in ((EDGE, 2.6), (MARK, 1.2)):
                canvas.setStrokeColor(colour)
                canvas.setFillColor(colour)
                canvas.setLineWidth(thick)
                _stroke(canvas, mark.kind, points)
            _numbered(canvas, mark.number, _free(points, taken, self.width, self.height))


def _stroke(canvas: Any, kind: str, points: Sequence[tuple[float, float]]) -> None:
    """One mark in the colour that is set."""
    if kind == Kind.POINT:
        ((x, y),) = points
        canvas.line(x - 4, y, x + 4, y)
        canvas.line(x, y - 4, x, y + 4)
        return
    if kind in (Kind.ELLIPSE, Kind.RECTANGLE):
        (ax, ay), (bx, by) = points
        box = canvas.ellipse if kind == Kind.ELLIPSE else canvas.rect
        corner = (ax, ay, bx, by) if kind == Kind.ELLIPSE else (min(ax, bx), min(ay, by), abs(bx - ax), abs(by - ay))
        box(*corner, stroke=1, fill=0)
        return
    path = canvas.beginPath()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    if kind in REGIONS:
        path.close()
    canvas.drawPath(path, stroke=1, fill=0)
    if kind == Kind.ARROW:
        _tip(canvas, points)


def _tip(canvas: Any, points: Sequence[tuple[float, float]]) -> None:
    """The head of an arrow, at its second end."""
    (ax, ay), (bx, by) = points
    turn = math.atan2(by - ay, bx - ax)
    for side in (-1, 1):
        canvas.line(bx, by, bx - 7 * math.cos(turn + side * 0.45), by - 7 * math.sin(turn + side * 0.45))


def _free(
    points: Sequence[tuple[float, float]], taken: list[tuple[float, float]], width: float, height: float
) -> tuple[float, float]:
    """Where a mark's number goes: beside its upper right end, on the image, below those that stand there already."""
    x = min(max(x for x, _y in points) + 4, width - 14)
    y = min(max(y for _x, y in points) + 2, height - 10)
    while y > 12 and any(abs(x - other_x) < 14 and abs(y - other_y) < 11 for other_x, other_y in taken):
        y -= 11
    taken.append((x, y))
    return x, y


def _numbered(canvas: Any, number: int, place: tuple[float, float]) -> None:
    x, y = place
    canvas.setFillColor(EDGE)
    canvas.rect(x - 1.5, y - 2, 5 + 4.5 * len(str(number)), 10, stroke=0, fill=1)
    canvas.setFillColor(MARK)
    canvas.setFont("Helvetica-Bold", 8)
    canvas.drawString(x, y, str(number))
