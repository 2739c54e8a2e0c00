"""How often a code on a photographed tag is read and matched, and how often a wrong one is.

    python -m benchmarks.reading [--each 12]

Tags are drawn: lines as on real ones (maker, place, style code, serial number), in ten fonts, on
paper, leather and foil, turned, seen from the side, blurred, faint, small and compressed. Half of
the codes are in the catalogue of 5,000, the others are made by the same patterns and are not: what
they match is wrong. So is every code but the one that is written.

`SURE` and the costs in `satchel.reading.matching` were set before anything was measured; tags of
seed 0 were seen since. These are drawn with seed 1.
"""

from __future__ import annotations

import argparse
import glob
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.reporting import print_table, write_json
from satchel.images import RGB
from satchel.reading.matching import CodeMatcher, key_of
from satchel.reading.reader import PhotoReader
from satchel.reading.records import Match, ReadText

CATALOGUE = 5_000
FONTS = (
    "LiberationSans-Regular",
    "LiberationSans-Bold",
    "LiberationSansNarrow-Regular",
    "LiberationSerif-Regular",
    "LiberationSerif-Italic",
    "LiberationMono-Regular",
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSansMono-Bold",
    "DejaVuSansCondensed",
)
GROUNDS = {"paper": (238, 234, 226), "leather": (96, 62, 40), "foil": (40, 40, 46)}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _letters(rng: np.random.Generator, count: int) -> str:
    return "".join(rng.choice(list(LETTERS), count))


PATTERNS: tuple[Callable[[np.random.Generator], str], ...] = (
    lambda rng: f"M{rng.integers(40000, 99999)}",
    lambda rng: f"{rng.integers(400000, 799999)} {_letters(rng, 5)} {rng.integers(1000, 9999)}",
    lambda rng: f"A{rng.integers(10000, 99999)}-Y{rng.integers(10000, 99999):05d}",
    lambda rng: f"1BA{rng.integers(100, 999)}_{_letters(rng, 4)}_F0{_letters(rng, 3)}",
    lambda rng: f"{_letters(rng, 2)}{rng.integers(1000, 9999)}{_letters(rng, 1)}",
    lambda rng: f"{rng.integers(100000, 999999)}",
)
"""Style codes as houses write them: all but the last may differ from what is read by a letter."""


@dataclass(frozen=True)
class Tag:
    """A drawn tag: its code, and whether the catalogue has it."""

    code: str
    known: bool
    photo: RGB


def draw(code: str, rng: np.random.Generator, fonts: Sequence[str]) -> RGB:
    """Draw a tag head-on, lit evenly."""
    font_file = str(rng.choice(fonts))
    ground = GROUNDS[str(rng.choice(list(GROUNDS)))]
    dark = sum(ground) < 3 * 128
    ink = (214, 190, 140) if dark else (38, 32, 34)
    picture = Image.new("RGB", (1200, 800), ground)
    pen = ImageDraw.Draw(picture)
    label = str(rng.choice(["", "STYLE ", "Ref. ", "No. ", "ART: "]))
    serial = f"{_letters(rng, 2)}{rng.integers(1000, 9999)}"
    lines = ["MAISON ATELIER", f"{label}{code}", f"{serial}   100% CUIR", "MADE IN ITALY"]
    top = int(rng.integers(60, 200))
    for line in lines:
        size = int(rng.integers(44, 76))
        pen.text((int(rng.integers(60, 160)), top), line, ink, ImageFont.truetype(font_file, size))
        top += int(1.5 * size)
    texture = rng.normal(0, 4, (800, 1200, 1))
    return np.clip(np.asarray(picture) + texture, 0, 255).astype(np.uint8)


# -- what happens to a photo -----------------------------------------------------------------------


def turned(photo: RGB, rng: np.random.Generator, degrees: float) -> RGB:
    """Turn around the middle, and see it from the side a little."""
    height, width = photo.shape[:2]
    angle = rng.uniform(0.7, 1) * degrees * rng.choice([-1, 1])
    middle = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 0.85)
    there = np.vstack([middle, [0, 0, 1]]) @ np.diag([1.0, 1.0, 1.0])
    there[2, :2] = rng.uniform(-2e-4, 2e-4, 2)
    return np.asarray(
        cv2.warpPerspective(photo, there, (width, height), borderMode=cv2.BORDER_REPLICATE)
    )


def blurred(photo: RGB, rng: np.random.Generator, pixels: float) -> RGB:
    """Blur by being out of focus, or by a motion."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(photo, (0, 0), pixels))
    length = int(4 * pixels) | 1
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    return np.asarray(cv2.filter2D(photo, -1, kernel))


def faint(photo: RGB, rng: np.random.Generator, contrast: float) -> RGB:
    """Reduce the contrast, with a shadow across and noise."""
    shadow = np.linspace(rng.uniform(0.6, 1), 1, photo.shape[1])[None, :, None]
    mean = photo.mean((0, 1))
    weak = (mean + contrast * (photo - mean)) * shadow
    return np.clip(weak + rng.normal(0, 5, photo.shape), 0, 255).astype(np.uint8)


def small(photo: RGB, _rng: np.random.Generator, share: float) -> RGB:
    """Make the tag a small part of a photo: fewer pixels, and JPEG's marks."""
    less = cv2.resize(photo, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    ground = cv2.resize(less[:8, :8], (1200, 800), interpolation=cv2.INTER_LINEAR)
    ground[100 : 100 + less.shape[0], 200 : 200 + less.shape[1]] = less
    packed = cv2.imencode(".jpg", ground, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))


CONDITIONS: dict[str, Callable[[RGB, np.random.Generator], RGB]] = {
    "head-on": lambda photo, _: photo,
    "turned 15°, from the side": lambda photo, rng: turned(photo, rng, 15),
    "turned 40°, from the side": lambda photo, rng: turned(photo, rng, 40),
    "upside down": lambda photo, _: np.ascontiguousarray(photo[::-1, ::-1]),
    "blurred by 3 px": lambda photo, rng: blurred(photo, rng, 3),
    "blurred by 6 px": lambda photo, rng: blurred(photo, rng, 6),
    "contrast 0.3": lambda photo, rng: faint(photo, rng, 0.3),
    "contrast 0.12": lambda photo, rng: faint(photo, rng, 0.12),
    "letters of 15 px, JPEG 60": lambda photo, rng: small(photo, rng, 0.3),
    "letters of 9 px, JPEG 60": lambda photo, rng: small(photo, rng, 0.18),
}


def catalogue(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Make codes that the catalogue has, and as many others by the same patterns."""
    made: dict[str, str] = {}
    while len(made) < 2 * CATALOGUE:
        code = PATTERNS[len(made) % len(PATTERNS)](rng)
        made.setdefault(key_of(code), code)
    codes = list(made.values())
    return codes[:CATALOGUE], codes[CATALOGUE:]


@dataclass
class Score:
    """Counts over the tags of one condition."""

    known: int = 0
    exact: int = 0
    right: int = 0
    unknown: int = 0
    wrong_known: int = 0
    wrong_unknown: int = 0

    def add(self, tag: Tag, matcher: CodeMatcher, texts: Sequence[ReadText]) -> None:
        """Count a tag by what was read."""
        found = matcher.match(texts)
        if not tag.known:
            self.unknown += 1
            self.wrong_unknown += bool(found)
            return
        self.known += 1
        self.exact += any(one.code == tag.code and one.match is Match.EXACT for one in found)
        self.right += any(one.code == tag.code for one in found)
        self.wrong_known += any(one.code != tag.code for one in found)


def main() -> None:
    """Draw, read, match, print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=12, help="tags of each condition")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    files = {
        path.rpartition("/")[2][:-4]: path
        for path in glob.glob("/usr/share/fonts/**/*.ttf", recursive=True)
    }
    fonts = [files[name] for name in FONTS if name in files]
    rng = np.random.default_rng(options.seed)
    known, others = catalogue(rng)
    matcher, seconds, scores = CodeMatcher(known), [], {}
    with PhotoReader() as reader:
        reader.read(np.zeros((64, 64, 3), np.uint8))
        for name, change in CONDITIONS.items():
            scores[name] = Score()
            for number in range(options.each):
                is_known = number % 3 != 2
                code = str(rng.choice(known if is_known else others))
                tag = Tag(code, is_known, change(draw(code, rng, fonts), rng))
                began = time.perf_counter()
                texts = reader.read(tag.photo)
                seconds.append(time.perf_counter() - began)
                scores[name].add(tag, matcher, texts)
    total = Score(*np.sum([list(vars(one).values()) for one in scores.values()], 0).tolist())
    scores["all"] = total
    print_table(
        f"Codes on drawn tags, catalogue of {CATALOGUE:,}, {len(fonts)} fonts",
        ("tags", "known", "read exactly", "found", "wrong too", "unknown", "wrong"),
        [
            (
                name,
                one.known,
                f"{one.exact / one.known:.0%}",
                f"{one.right / one.known:.0%}",
                one.wrong_known,
                one.unknown,
                one.wrong_unknown,
            )
            for name, one in scores.items()
        ],
    )
    print(f"median {median(seconds):.1f} s a photo of 1200 × 800 pixels, one thread")
    figures = {name: vars(one) for name, one in scores.items()}
    write_json(
        "reading",
        {"conditions": figures, "median_s": median(seconds), "fonts": fonts and list(FONTS)},
    )


if __name__ == "__main__":
    main()
