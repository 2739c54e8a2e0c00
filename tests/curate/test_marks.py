"""A shop's mark is found from its photos together, once, and only where there is one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import fill
from satchel.catalog.curation import GalleryPhotos
from satchel.catalog.store import Catalogue
from satchel.curate.content import Shown, shown
from satchel.curate.figures import measure_photos
from satchel.curate.marks import measure_marks, shops_to_search
from satchel.curate.rules import ContentThresholds
from satchel.encode.encoder import Encoder
from satchel.images import encode_jpeg
from satchel.workspace import Workspace


def textured(seed: int) -> np.ndarray:
    """A picture that has nothing in common with another one."""
    rng = np.random.default_rng(seed)
    # Uneven ground: on an even one, these would be several objects.
    coarse = rng.integers(120, 240, (9, 12, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y = int(rng.integers(0, 440)), int(rng.integers(0, 320))
        size, colour = int(rng.integers(8, 60)), tuple(int(c) for c in rng.integers(0, 255, 3))
        cv2.rectangle(picture, (x, y), (x + size, y + size // 2), colour, -1)
    return picture


def stamped(picture: np.ndarray) -> np.ndarray:
    copy = picture.copy()
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(copy, "SHOP-24", (110, 200), font, 1.8, (255, 255, 255), 6)
    cv2.putText(copy, "SHOP-24", (110, 200), font, 1.8, (20, 20, 20), 2)
    return copy


@pytest.fixture
def shops(workspace: Workspace, tmp_path: Path, encoder: Encoder) -> Workspace:
    """Two shops of thirty photos; one stamps them, but for two that came without."""
    lines = ["code,photo,source"]
    for seed in range(60):
        shop = "stamps.example" if seed < 30 else "clean.example"
        picture = textured(seed)
        if seed < 28:
            picture = stamped(picture)
        (tmp_path / f"{seed}.jpg").write_bytes(encode_jpeg(picture, 92))
        lines.append(f"P{seed % 12},{seed}.jpg,https://{shop}/photos/{seed}.jpg")
    lines.append(f"P0,{60}.jpg,https://tiny.example/1.jpg")
    (tmp_path / "60.jpg").write_bytes(encode_jpeg(textured(60), 92))
    (tmp_path / "catalogue.csv").write_text("\n".join(lines))
    fill(workspace, tmp_path / "catalogue.csv", encoder)
    measure_photos(
        workspace.catalogue,
        workspace.photos,
        on_problem=lambda problem: pytest.fail(str(problem)),
    )
    return workspace


def gallery(catalogue: Catalogue, encoder: Encoder) -> GalleryPhotos:
    return catalogue.curation.gallery_photos(encoder.id, encoder.card.dimension)


def test_marks_are_found_kept_and_not_searched_again(shops: Workspace, encoder: Encoder) -> None:
    photos = gallery(shops.catalogue, encoder)
    todo = shops_to_search(photos)
    assert sorted(len(rows) for rows in todo.values()) == [30, 30]
    measure_marks(shops.catalogue.curation, shops.photos, photos, todo)
    kept = gallery(shops.catalogue, encoder)
    assert kept.contents == photos.contents
    limit = ContentThresholds().mark
    doubted = [row for row, content in enumerate(kept.contents) if content.get("mark", 0) >= limit]
    sources = [kept.sources[row] or "" for row in doubted]
    assert len(doubted) == 28
    assert all("stamps.example" in source for source in sources)
    assert shops_to_search(kept) == {}


def test_thresholds_say_what_is_doubted() -> None:
    content = {"faces": 0.2, "watermark": 0.0, "objects": 2, "mark": 0.9}
    assert [kind for kind, *_ in shown(content, ContentThresholds())] == [
        Shown.FACES,
        Shown.WATERMARK,
        Shown.SEVERAL_OBJECTS,
    ]
    content = {"faces": 0.1, "watermark": 0.0, "objects": 1}
    assert shown(content, ContentThresholds()) == []
    assert shown(content, ContentThresholds(faces=0.0, watermark=0.0)) != []
