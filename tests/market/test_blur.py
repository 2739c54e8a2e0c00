from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from satchel.catalog.photos import PhotoStore
from satchel.decoding.decoder import IN_PROCESS
from satchel.errors import CatalogueError
from satchel.images import decode, encode_jpeg
from satchel.market.privacy.blur import BLOCKS, Blurrer, _blur
from satchel.market.privacy.public_photos import PAPER, PREVIEW_WH, SIDE_PX, PublicPhotos
from satchel.photo_header import PhotoLimits


@pytest.mark.parametrize("box", [(0.2, 0.2, 0.6, 0.7), (0.9, 0.9, 1.0, 1.0), (0, 0, 1, 1)])
def test_nothing_can_be_read_in_the_box_and_the_rest_stays(box: tuple[float, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    out = pixels.copy()
    _blur(out, np.array(box, np.float32))
    left, right = int(box[0] * 160), int(box[2] * 160)
    top, bottom = int(box[1] * 120), int(box[3] * 120)
    inside = out[top:bottom, left:right]
    colours = np.unique(inside.reshape(-1, 3), axis=0)
    assert len(colours) <= (2 * BLOCKS) ** 2 < len(np.unique(pixels.reshape(-1, 3), axis=0))
    changed = (out != pixels).any(axis=2)
    assert changed.mean() <= 1.7 * (box[2] - box[0]) * (box[3] - box[1]) + 0.05


def test_a_photo_without_people_stays_as_it_is() -> None:
    pixels = np.full((200, 300, 3), 180, np.uint8)
    pixels[60:140, 100:200] = 90
    assert (Blurrer()(pixels) == pixels).all()


def test_a_public_copy_is_made_once_and_is_smaller(tmp_path: Path) -> None:
    store = PhotoStore(tmp_path / "photos")
    pixels = np.full((1_700, 2_600, 3), 180, np.uint8)
    pixels[600:1400, 1000:2000] = 90
    name = store.put(encode_jpeg(pixels, 90))
    public = PublicPhotos(store, tmp_path / "public", IN_PROCESS, PhotoLimits())
    assert not public.keeps(name, None)
    copy = public.read(name)
    assert public.keeps(name, None)
    assert not public.keeps(name, 320)
    assert not public.keeps("../../name", None)
    assert max(decode(copy, min_side_px=None).shape) == SIDE_PX
    store.remove(name)
    assert public.read(name) == copy
    small = public.small(name, 320)
    assert public.keeps(name, 320)
    with Image.open(BytesIO(small)) as image:
        assert (image.format, max(image.size)) == ("WEBP", 320)
    with Image.open(BytesIO(public.preview(name))) as image:
        assert (image.format, image.size) == ("JPEG", PREVIEW_WH)
        assert image.getpixel((2, 2)) == pytest.approx(PAPER, abs=4)
    public.forget(name)
    assert list((tmp_path / "public").rglob("*.*")) == []
    with pytest.raises(CatalogueError):
        public.read(name)
