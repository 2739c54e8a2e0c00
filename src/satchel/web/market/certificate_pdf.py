"""A certificate as a PDF: one A4 page, with the QR code under which it is verified.

Korean is set in a font that PDF readers bring along (Adobe-Korea1), so none is embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from io import BytesIO
from itertools import groupby
from typing import Final, NamedTuple

import segno
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from satchel.market.desk.records import Certificate
from satchel.translations import translations

PHOTOS: Final = 4
PHOTO_PX: Final = 900
"""Longer side, at most: 250 dots an inch for the largest."""

LATIN: Final = "Times-Roman"
KOREAN: Final = "HYSMyeongJo-Medium"
INK: Final = (0.12, 0.10, 0.09)
SOFT: Final = (0.37, 0.34, 0.30)
LINE: Final = (0.80, 0.77, 0.73)
BAD: Final = (0.64, 0.14, 0.11)

MM: Final = 72 / 25.4
WIDTH: Final = 210 * MM
HEIGHT: Final = 297 * MM
MARGIN: Final = 22 * MM
QR_SIDE: Final = 34 * MM


def certificate_pdf(
    certificate: Certificate, photos: Sequence[bytes], address: str, language: str
) -> bytes:
    """Lay out a certificate.

    Args:
        photos: JPEG, public ones; four are shown at most.
        address: under which it is verified, for the QR code.
        language: "en" or "ko".

    Returns:
        The same bytes for the same arguments.
    """
    _ = translations(language).gettext
    pdfmetrics.registerFont(UnicodeCIDFont(KOREAN))
    made = BytesIO()
    page = Canvas(made, (WIDTH, HEIGHT), invariant=1, pageCompression=1)
    page.setTitle(f"{_('Certificate of authenticity')} {certificate.public_id}")
    page.setAuthor("Satchel")
    page.setSubject(certificate.code)
    y = HEIGHT - MARGIN - 10 * MM
    _write(page, MARGIN, y, _("Certificate of authenticity"), 25)
    y -= 9 * MM
    _write(page, MARGIN, y, f"{_('Number')} {certificate.public_id}", 10.5, SOFT)
    if not certificate.holds:
        y -= 6 * MM
        words = (
            _("REVOKED: this certificate is no longer valid.")
            if certificate.revoked_at
            else _("WITHDRAWN: its seller has revised the listing.")
        )
        y = _invalid(page, y, words, certificate.revoked_at or certificate.superseded_at)
    y = _line(page, y - 6 * MM) - 6 * MM
    y = _photos(page, y, photos)
    y = _line(page, y - 6 * MM) - 8 * MM
    _facts(page, y, certificate, _)
    _qr(page, address, _("Scan to see whether it still holds:"))
    page.showPage()
    page.save()
    return made.getvalue()


class _Place(NamedTuple):
    """A rectangle, in points from the lower left corner of the page."""

    x: float
    y: float
    width: float
    height: float


def _facts(page: Canvas, y: float, certificate: Certificate, _: Callable[[str], str]) -> None:
    """Write what was certified, in two columns, as far as the page goes."""
    product = certificate.product
    facts = (
        (_("Style code"), certificate.code),
        (_("Brand"), product.get("brand")),
        (_("Model name"), product.get("name")),
        (_("Condition grade"), certificate.grade.value),
        (_("Certified by experts"), str(len(certificate.experts))),
        (_("Certified on"), f"{certificate.issued_at:%Y-%m-%d}"),
        (_("Colour"), product.get("colour")),
        (_("Size"), product.get("size")),
    )
    for name, value in facts:
        if not value or y < MARGIN + QR_SIDE + 6 * MM:
            continue
        _write(page, MARGIN, y, name, 10.5, SOFT)
        for line in _wrapped(value, 12, WIDTH - 2 * MARGIN - 48 * MM)[:2]:
            _write(page, MARGIN + 48 * MM, y, line, 12)
            y -= 6 * MM
        y -= 1.6 * MM


def _photos(page: Canvas, y: float, photos: Sequence[bytes]) -> float:
    """Draw the first photo large and the others next to it; return the height below them."""
    tall = 88 * MM
    wide = WIDTH - 2 * MARGIN
    shown = photos[:PHOTOS]
    side = 42 * MM if len(shown) > 1 else 0.0
    gap = 5 * MM
    if shown:
        large = _Place(MARGIN, y - tall, wide - side - (gap if side else 0), tall)
        _image(page, shown[0], large, "nw")
    each = (tall - gap * (PHOTOS - 2)) / (PHOTOS - 1)
    for place, photo in enumerate(shown[1:]):
        below = y - place * (each + gap) - each
        _image(page, photo, _Place(WIDTH - MARGIN - side, below, side, each), "ne")
    return y - tall


def _image(page: Canvas, data: bytes, place: _Place, corner: str) -> None:
    """Draw a photo as large as fits, in a corner of its place."""
    image = ImageReader(BytesIO(data))
    page.drawImage(image, *place, preserveAspectRatio=True, anchor=corner)


def _invalid(page: Canvas, y: float, words: str, since: datetime | None) -> float:
    page.setFillColorRGB(*BAD)
    page.rect(MARGIN, y - 12 * MM, WIDTH - 2 * MARGIN, 12 * MM, stroke=0, fill=1)
    when = f" ({since:%Y-%m-%d})" if since else ""
    _write(page, MARGIN + 4 * MM, y - 8 * MM, words + when, 14, (1, 1, 1))
    return y - 12 * MM


def _qr(page: Canvas, address: str, words: str) -> None:
    """Draw the QR code at the foot of the page, with its address."""
    modules = list(segno.make_qr(address, error="m").matrix)
    module = QR_SIDE / len(modules)
    page.setFillColorRGB(0, 0, 0)
    for row, bits in enumerate(modules):
        for column, dark in enumerate(bits):
            if dark:
                x, y = MARGIN + column * module, MARGIN + QR_SIDE - (row + 1) * module
                page.rect(x, y, module, module, stroke=0, fill=1)
    x = MARGIN + QR_SIDE + 8 * MM
    _write(page, x, MARGIN + QR_SIDE - 5 * MM, words, 11)
    for place, line in enumerate(_wrapped(address, 10, WIDTH - MARGIN - x)):
        _write(page, x, MARGIN + QR_SIDE - (12 + 5 * place) * MM, line, 10, SOFT)


def _line(page: Canvas, y: float) -> float:
    page.setStrokeColorRGB(*LINE)
    page.setLineWidth(0.5)
    page.line(MARGIN, y, WIDTH - MARGIN, y)
    return y


def _write(  # noqa: PLR0917 - as ReportLab's own
    page: Canvas,
    x: float,
    y: float,
    text: str,
    size: float,
    colour: tuple[float, float, float] = INK,
) -> None:
    """Write a line, each run in the font that has its characters."""
    page.setFillColorRGB(*colour)
    for font, run in _runs(text):
        page.setFont(font, size)
        page.drawString(x, y, run)
        x += pdfmetrics.stringWidth(run, font, size)


def _wrapped(text: str, size: float, width: float) -> list[str]:
    """Break a text into lines, between words, or within one that is wider than a line."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if _width(joined, size) <= width:
            line = joined
            continue
        lines += [line] if line else []
        line = ""
        for char in word:
            if _width(line + char, size) > width:
                lines.append(line)
                line = ""
            line += char
    return [*lines, line]


def _width(text: str, size: float) -> float:
    return sum(float(pdfmetrics.stringWidth(run, font, size)) for font, run in _runs(text))


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Split a text by the font that has its characters."""
    for latin, chars in groupby(text, _is_latin):
        yield LATIN if latin else KOREAN, "".join(chars)


def _is_latin(char: str) -> bool:
    try:
        char.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True
