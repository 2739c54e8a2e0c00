"""The guide shows each picture of a page, and none is large."""

from __future__ import annotations

from pathlib import Path

from scripts.docs_pictures import MOST_BYTES, OUT, PICTURES, SIZES

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
MOST_TOGETHER = 1_500_000


def test_every_picture_is_there_and_shown() -> None:
    taken = {f"{one.name}-{device}.webp" for one in PICTURES for device in SIZES}
    assert {path.name for path in OUT.iterdir()} == taken
    pages = "".join(path.read_text(encoding="utf-8") for path in GUIDE.glob("*.md"))
    assert [name for name in sorted(taken) if f"(../assets/pages/{name})" not in pages] == []


def test_pictures_are_small() -> None:
    sizes = [path.stat().st_size for path in OUT.iterdir()]
    assert max(sizes) <= MOST_BYTES
    assert sum(sizes) <= MOST_TOGETHER
