"""A photo that is the catalogue's own picture, or a copy of it, is named as such."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from conftest import jpeg
from satchel import Identifier
from satchel.images import decode, encode_jpeg
from satchel.records import Verdict
from satchel.workspace import Workspace


@pytest.fixture
def identifier(filled: Workspace) -> Identifier:
    return Identifier.open(filled)


def stored(workspace: Workspace, code: str) -> np.ndarray:
    """Pixels of a product's first photo."""
    first = workspace.catalogue.photos_of(code)[0]
    return decode(workspace.photos.read(first.sha256), min_side_px=None)


def brighter(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * 0.85, 0, 255).astype(np.uint8)


def half(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8)


def test_a_stored_photo_is_named_as_the_catalogues_own(
    identifier: Identifier, filled: Workspace
) -> None:
    for photo in filled.catalogue.photos_of("M2"):
        found = identifier.identify(filled.photos.read(photo.sha256))
        assert found.own_pictures == (("M2",),)
        assert found.own_picture_of == ("M2",)
        assert found.verdict is Verdict.IDENTIFIED
        assert found.candidates[0].confidence == pytest.approx(0.99)
        assert found.likely == 1
        assert sum(one.confidence for one in found.candidates) == pytest.approx(found.in_catalogue)


@pytest.mark.parametrize("change", [half, brighter, lambda pixels: pixels])
def test_so_is_a_copy(
    identifier: Identifier, filled: Workspace, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    found = identifier.identify(encode_jpeg(change(stored(filled, "M3")), 60))
    assert found.own_picture_of == ("M3",)
    assert found.verdict is Verdict.IDENTIFIED


def test_another_photo_of_the_product_is_not(identifier: Identifier) -> None:
    found = identifier.identify(jpeg("disc", 50))
    assert found.own_pictures == ((),)
    assert found.verdict is not Verdict.IDENTIFIED  # as the card has it


def test_a_recoloured_picture_is_not(identifier: Identifier, filled: Workspace) -> None:
    dyed = np.ascontiguousarray(stored(filled, "M1")[..., ::-1])
    assert identifier.identify(encode_jpeg(dyed, 92)).own_pictures == ((),)


def test_both_codes_of_one_picture_are_named(filled: Workspace) -> None:
    ids, photo = filled.catalogue.ids_of_codes(), filled.catalogue.photos_of("M2")[0]
    with filled.catalogue.writing() as writer:
        same = writer.add_photo(photo.sha256, photo.width, photo.height, 1)
        writer.link(ids["M4"], same, {}, {})
    found = Identifier.open(filled).identify(filled.photos.read(photo.sha256))
    assert found.own_picture_of == ("M2", "M4")
    assert found.verdict is Verdict.ONE_OF
    assert found.likely == 2
    assert {one.product.code for one in found.candidates if one.likely} == {"M2", "M4"}
    assert [one.confidence for one in found.candidates[:2]] == pytest.approx([0.495, 0.495])


def test_several_photos_are_a_products_own_only_if_all_are(
    identifier: Identifier, filled: Workspace
) -> None:
    own = [filled.photos.read(one.sha256) for one in filled.catalogue.photos_of("M2")]
    both = identifier.identify_item(own)
    assert both.own_picture_of == ("M2",)
    mixed = identifier.identify_item([own[0], jpeg("disc", 50)])
    assert mixed.own_pictures == (("M2",), ())
    assert mixed.own_picture_of == ()
    assert mixed.candidates[0].confidence < 0.99


def test_under_a_filter_only_what_passes_is_named(filled: Workspace) -> None:
    with filled.catalogue.writing() as writer:
        for code, number in filled.catalogue.ids_of_codes().items():
            writer.set_product(number, {"brand": code})
    data = filled.photos.read(filled.catalogue.photos_of("M2")[0].sha256)
    identifier = Identifier.open(filled)
    assert identifier.identify(data, where={"brand": "M1"}).own_pictures == ((),)
    alone = identifier.identify(data, where={"brand": "M2"})
    assert (alone.own_picture_of, alone.verdict) == (("M2",), Verdict.IDENTIFIED)


def test_a_photo_whose_file_is_gone_is_no_copy_of_anything(
    identifier: Identifier, filled: Workspace
) -> None:
    photo = filled.catalogue.photos_of("M2")[0]
    data = filled.photos.read(photo.sha256)
    filled.photos.path(photo.sha256).unlink()
    assert identifier.identify(data).own_pictures == ((),)
