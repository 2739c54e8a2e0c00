from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, draw
from satchel.encode.card import BUILTIN, LITE, read_card
from satchel.encode.embed import as_query, embed
from satchel.encode.encoder import Encoder
from satchel.errors import EncoderError
from satchel.onnx_model import write_model
from support.stub_encoder import stub_card, stub_model


@pytest.fixture(scope="module")
def encoder(shipped_encoder: Encoder) -> Encoder:
    return shipped_encoder


def crops(encoder: Encoder, count: int) -> np.ndarray:
    side = encoder.crop_shape.side_px
    return np.stack([draw(SHAPES[n % 5], n, (side, side)) for n in range(count)])


def test_vectors_have_length_one_and_the_card_s_dimension(encoder: Encoder) -> None:
    seen = encoder.encode(crops(encoder, 3))
    assert seen.vectors.shape == (3, encoder.card.dimension)
    assert np.linalg.norm(seen.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert seen.saliency.shape == (3, 6, 6)
    assert (seen.saliency >= 0).all()


def test_a_batch_gives_what_single_photos_give(encoder: Encoder) -> None:
    photos = [draw(shape, 3, (300 + 20 * n, 240)) for n, shape in enumerate(SHAPES)]
    together = embed(encoder, photos)
    for photo, seen in zip(photos, together, strict=True):
        (alone,) = embed(encoder, [photo])
        assert alone.box == seen.box
        assert alone.vector @ seen.vector == pytest.approx(1, abs=1e-5)


@pytest.mark.flow
def test_patches_are_of_the_first_pass_and_equal_in_a_batch(encoder: Encoder) -> None:
    photos = [draw(shape, 3, (300, 240)) for shape in SHAPES]
    for photo, seen in zip(photos, embed(encoder, photos, gallery=True), strict=True):
        (alone,) = embed(encoder, [photo])
        assert seen.patches is not None
        assert alone.patches is not None
        assert seen.patches.shape == (64, encoder.card.patch_dimension)
        assert np.abs(np.linalg.norm(seen.patches.astype(float), axis=1) - 127).max() < 4
        assert np.abs(alone.patches.astype(int) - seen.patches).max() <= 1
    assert read_card(LITE).patch_dimension is None
    assert embed(Encoder.load(LITE), photos[:1])[0].patches is None


def test_the_same_shape_is_nearer_than_another(encoder: Encoder) -> None:
    first = np.stack([seen.vector for seen in embed(encoder, [draw(s, 1) for s in SHAPES])])
    second = np.stack([seen.vector for seen in embed(encoder, [draw(s, 2) for s in SHAPES])])
    assert ((second @ first.T).argmax(1) == np.arange(len(SHAPES))).all()


def test_the_package_carries_the_model_that_its_card_names(encoder: Encoder) -> None:
    assert encoder.id == read_card().sha256
    assert (BUILTIN.parent / encoder.card.file).stat().st_size < 100_000_000


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The card of a small encoder, a model in three files."""
    path, model = tmp_path / "model.json", stub_model()
    card = stub_card().model_copy(update={"parts": ("a.onnx", "b.onnx")})
    write_model(path, card, model[:-200], model[-200:-100], model[-100:])
    return path


def test_a_model_in_several_files_is_one(copied: Path) -> None:
    assert Encoder.load(copied).id == stub_card().sha256


def test_another_model_than_the_card_s_is_refused(copied: Path) -> None:
    model = copied.with_suffix(".onnx")
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(EncoderError, match="expected SHA-256"):
        Encoder.load(copied)


@pytest.mark.parametrize("number", [0, 1])
def test_a_model_without_one_of_its_parts_is_refused(copied: Path, number: int) -> None:
    part = read_card(copied).parts[number]
    (copied.parent / part).write_bytes(b"")
    with pytest.raises(EncoderError, match="expected SHA-256"):
        Encoder.load(copied)
    (copied.parent / part).unlink()
    with pytest.raises(EncoderError, match="expected the model at"):
        Encoder.load(copied)


def test_missing_model_or_card(copied: Path) -> None:
    copied.with_suffix(".onnx").unlink()
    with pytest.raises(EncoderError, match="expected the model at"):
        Encoder.load(copied)
    with pytest.raises(EncoderError, match="expected a model card at"):
        Encoder.load(copied.with_name("nothing.json"))


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../other.onnx"},
        {"parts": ["../other.onnx"]},
        {"dimension": 0},
        {"surprise": 1},
        {"sha256": "x"},
    ],
)
def test_cards_are_checked(copied: Path, change: dict) -> None:
    copied.write_text(json.dumps(json.loads(copied.read_text()) | change))
    with pytest.raises(EncoderError, match="is not valid"):
        Encoder.load(copied)


def test_gallery_photos_take_two_passes(encoder: Encoder) -> None:
    """The vector stays near the whole photo's, which is what a query has alone."""
    photo = np.full((480, 640, 3), 230, np.uint8)
    photo[200:460, 300:620] = draw("cross", size_wh=(320, 260))
    (asked,), (kept,) = (embed(encoder, [photo], gallery=gallery) for gallery in (False, True))
    assert encoder.n_passes == 1
    assert np.allclose(asked.vector, asked.whole, atol=1e-6)
    assert kept.whole @ asked.whole == pytest.approx(1, abs=1e-6)
    assert kept.box == asked.box
    assert np.allclose(kept.colours, asked.colours, atol=1e-6)
    assert 0.8 < kept.vector @ kept.whole < 0.999
    as_asked = as_query(kept, encoder.n_passes)
    assert as_asked.vector @ asked.vector == pytest.approx(1, abs=1e-6)


def test_three_passes_are_taken_for_gallery_and_queries() -> None:
    light = Encoder.load(LITE)
    (asked,), (kept,) = (
        embed(light, [draw("ring", 1)], gallery=gallery) for gallery in (False, True)
    )
    assert light.n_passes == 3
    assert np.array_equal(asked.vector, kept.vector)
    assert as_query(kept, light.n_passes) is kept
