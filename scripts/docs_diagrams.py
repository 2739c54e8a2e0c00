"""Draw the diagrams of the explanation pages into docs/assets/."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np

DOCS = Path(__file__).resolve().parents[1] / "docs"
DEMO = DOCS.parent / "examples" / "maison"
INK, SOFT, LINE, PAPER = "#1f2933", "#52606d", "#9aa5b1", "#ffffff"
BLUE, GREEN, AMBER, GREY = "#2f6fde", "#2e8b57", "#c77700", "#e4e7eb"


class Drawing:
    """SVG elements, in pixels, on a white sheet that also reads in a dark theme."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'role="img" font-family="system-ui, sans-serif"><title>{title}</title>'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{LINE}"/></marker>'
            "</defs>"
            f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>'
        )
        self._parts: list[str] = []

    def text(
        self, x: float, y: float, text: str, *, size: int = 13, colour: str = INK, **more: str
    ) -> None:
        """Write one line; `more` are further attributes, `_` for `-`."""
        extra = " ".join(f'{key.replace("_", "-")}="{value}"' for key, value in more.items())
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" {extra}>'
            f"{escaped}</text>"
        )

    def box(
        self, x: float, y: float, w: float, h: float, *lines: str, fill: str = "#f5f7fa"
    ) -> None:
        """Draw a box with a bold first line and further lines below it, centred."""
        self.rect(x, y, w, h, fill=fill, stroke=LINE, rx=8)
        top = y + h / 2 - 8.5 * (len(lines) - 1) + 4.5
        for at, line in enumerate(lines):
            bold = {"font_weight": "600"} if at == 0 else {}
            self.text(
                x + w / 2,
                top + 17 * at,
                line,
                size=13 if at == 0 else 12,
                colour=INK if at == 0 else SOFT,
                text_anchor="middle",
                **bold,
            )

    def rect(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        *,
        fill: str,
        stroke: str = "none",
        rx: float = 0,
        opacity: float = 1,
    ) -> None:
        """Draw a rectangle."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{rx}" '
            f'fill="{fill}" '
            f'stroke="{stroke}" fill-opacity="{opacity}"/>'
        )

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draw a line through points, with a tip at its end."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self._parts.append(
            f'<path d="M{path}" fill="none" stroke="{LINE}" stroke-width="1.6" '
            'marker-end="url(#tip)"/>'
        )

    def line(
        self, x0: float, y0: float, x1: float, y1: float, *, colour: str = LINE, dash: str = ""
    ) -> None:
        """Draw a straight line."""
        self._parts.append(
            f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{colour}" stroke-width="1.4" '
            f'stroke-dasharray="{dash}"/>'
        )

    def dot(self, x: float, y: float, colour: str, *, r: float = 3.4) -> None:
        """Draw a point."""
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}" fill-opacity=".8"/>'
        )

    def photo(self, x: float, y: float, side: float, path: Path) -> None:
        """Show a photo, cropped to a square."""
        picture = cv2.imread(str(path))
        if picture is None:
            raise FileNotFoundError(path)
        edge = min(picture.shape[:2])
        top, left = (picture.shape[0] - edge) // 2, (picture.shape[1] - edge) // 2
        small = cv2.resize(
            picture[top : top + edge, left : left + edge], (150, 150), interpolation=cv2.INTER_AREA
        )
        encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
        data = base64.b64encode(encoded.tobytes()).decode()
        self._parts.append(
            f'<image x="{x:.1f}" y="{y:.1f}" width="{side}" height="{side}" '
            f'href="data:image/jpeg;base64,{data}"/>'
        )

    def save(self, name: str) -> None:
        """Write the file."""
        folder = DOCS / "assets"
        folder.mkdir(exist_ok=True)
        text = "\n".join([self._head, *self._parts, "</svg>\n"])
        (folder / f"{name}.svg").write_text(text, encoding="utf-8")


def ranking() -> None:
    """The way from a photo to candidates."""
    d = Drawing(860, 372, "From a photo to ranked products")
    d.text(30, 32, "1  Encode", size=15, font_weight="600")
    d.photo(30, 48, 104, DEMO / "queries" / "IMG_2041.jpg")
    d.text(82, 170, "photo", colour=SOFT, text_anchor="middle", size=12)
    d.arrow((138, 100), (172, 100))
    d.box(176, 62, 116, 76, "image encoder", "one forward pass")
    for at, (name, what) in enumerate(
        (
            ("embedding", "of the whole photo"),
            ("colours", "of the object"),
            ("patches", "64 local features"),
        )
    ):
        y = 28 + 50 * at
        d.arrow((296, 100), (338, y + 22))
        d.box(342, y, 162, 44, name, what)
    d.text(560, 32, "2  Search the index", size=15, font_weight="600")
    d.arrow((508, 50), (556, 72))
    d.arrow((508, 100), (556, 90))
    d.box(
        560,
        50,
        270,
        62,
        "exact search, whitened cosine",
        "gallery photos → products:",
        "softmax-weighted mean of cosines",
    )
    d.arrow((695, 116), (695, 204))
    d.text(708, 164, "50 products", colour=SOFT, size=12)
    d.text(30, 210, "3  Compare the first 20 closely", size=15, font_weight="600")
    d.arrow((423, 176), (423, 286), (556, 286))
    d.box(560, 208, 270, 46, "re-ranking", "whose pictures make up the photo")
    d.box(560, 262, 270, 46, "local matching", "whose pictures contain its patches")
    d.arrow((695, 312), (695, 346), (414, 346))
    for at, (code, share) in enumerate((("MO1102", "89 %"), ("MO1101", "1 %"), ("MO2204", "0 %"))):
        x = 40 + at * 118
        d.photo(x, 232, 88, DEMO / "photos" / code / "1.jpg")
        d.text(x + 44, 334, f"{at + 1}.  {code}", text_anchor="middle", font_weight="600")
        d.text(x + 44, 352, share, colour=SOFT, text_anchor="middle", size=12)
    d.save("ranking")


def whitening() -> None:
    """What whitening does to distances."""
    rng = np.random.default_rng(4)
    d = Drawing(860, 318, "Whitening by the gallery")
    centres = {BLUE: (-0.25, 0.38), AMBER: (0.25, -0.38)}
    noise = np.clip(rng.normal(size=(2, 14, 2)), -1.8, 1.8) * (1.5, 0.17)
    query = np.array((1.3, 0.16))
    for panel, (scale, title, note) in enumerate(
        (
            (
                np.array((60.0, 60.0)),
                "as encoded (blue: the right product)",
                "crops spread sideways: the nearest is a wrong product",
            ),
            (
                np.array((22.0, 118.0)),
                "whitened",
                "that direction counts less: the nearest photo is right",
            ),
        )
    ):
        left = 30 + panel * 415
        middle = np.array((left + 192, 158))
        d.rect(left, 46, 385, 224, fill="#f5f7fa", stroke=GREY, rx=8)
        d.text(left, 32, title, size=15, font_weight="600")
        points = []
        for (colour, centre), spread in zip(centres.items(), noise, strict=True):
            for one in np.asarray(centre) + spread:
                at = middle + one * scale * (1, -1)
                points.append((at, colour))
                d.dot(at[0], at[1], colour)
        at = middle + query * scale * (1, -1)
        nearest, colour = min(points, key=lambda other: float(np.hypot(*(other[0] - at))))
        d.line(*at, *nearest, colour=colour)
        d.dot(at[0], at[1], INK, r=5)
        d.text(at[0], at[1] - 11, "query", text_anchor="middle", size=12, font_weight="600")
        d.text(left, 292, note, colour=SOFT, size=12)
        assert (colour == BLUE) == title.startswith("whitened"), "the note would be wrong"
    d.save("whitening")


def confidence() -> None:
    """Two models, multiplied."""
    d = Drawing(860, 268, "Confidence is a product of two probabilities")
    d.box(30, 96, 150, 60, "scores", "and evidence")
    d.arrow((184, 112), (228, 74))
    d.arrow((184, 140), (228, 182))
    d.box(232, 40, 222, 62, "is it in the catalogue?", "logistic regression")
    d.box(232, 152, 222, 62, "which product is it if so?", "conditional logit")
    d.arrow((458, 71), (506, 112))
    d.arrow((458, 183), (506, 142))
    d.text(520, 132, "×", size=22, text_anchor="middle")
    d.arrow((536, 127), (568, 127))
    d.text(574, 62, "together they sum to 1", size=13, font_weight="600")
    shares = (
        (0.55, BLUE, "1st candidate", "0.55"),
        (0.15, "#6f9bea", "2nd", "0.15"),
        (0.1, "#a9c3f2", "others", "0.10"),
        (0.2, GREY, "something else", "0.20"),
    )
    y = 74.0
    for share, colour, name, shown in shares:
        h = share * 172
        d.rect(574, y, 84, h - 2, fill=colour)
        d.text(668, y + h / 2 + 3, name, size=13)
        d.text(832, y + h / 2 + 3, shown, size=13, colour=SOFT, text_anchor="end")
        y += h
    d.save("confidence")


NAMED = (GREEN, "#6cb48b", "#a6d3b9", "#c5e3d1", "#dff0e6")
OTHER = "#f0d9b5"

VERDICTS = (
    ("identified", (94, 2), 1, "the first candidate reaches the measured threshold"),
    ("probable", (68, 14, 6), 1, "the first candidate reaches 0.6"),
    ("one_of", (32, 19, 12, 9), 3, "the first two to five reach 0.6 together"),
    ("uncertain", (17, 12, 9, 8, 6), 0, "five do not: compare them all"),
    ("not_in_catalogue", (12, 8, 5), 0, '"something else" has nearly all'),
)
"""Verdict, confidences in per cent, how many candidates are named, meaning."""


def verdict() -> None:
    """Confidences for which each verdict is given."""
    d = Drawing(860, 334, "Verdicts")
    left, width = 40.0, 360.0
    for share, label in ((0.6, "0.6"), (0.9, "identified_at")):
        d.line(left + share * width, 34, left + share * width, 308, colour=INK, dash="4 4")
        d.text(left + share * width, 26, label, text_anchor="middle")
    for row, (name, shares, named, meaning) in enumerate(VERDICTS):
        x, y = left, 50.0 + 56 * row
        for at, share in enumerate((*shares, 100 - sum(shares))):
            rest = at == len(shares)
            fill = GREY if rest else NAMED[at] if at < named else OTHER
            d.rect(x, y, share * width / 100, 26, fill=fill, stroke="#ffffff")
            x += share * width / 100
        d.text(430, y + 12, name, font_weight="600")
        d.text(430, y + 29, meaning, colour=SOFT)
    d.text(
        left,
        326,
        "confidences of the candidates, likeliest first; green: named; grey: something else",
        colour=SOFT,
    )
    d.save("verdict")


if __name__ == "__main__":
    ranking()
    whitening()
    confidence()
    verdict()
