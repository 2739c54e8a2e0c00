"""Cards, calibrations and what is served, read from damaged files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from satchel.confidence.stored import (
    Calibration,
    calibration_path,
    confidence_of,
    write_calibration,
)
from satchel.encode.card import BUILTIN, LITE, read_card
from satchel.encode.embedder import EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serve_model, serving_card
from satchel.errors import EncoderError
from satchel.onnx_model import read_model


def damaged(data: bytes) -> Iterator[bytes]:
    """A file's bytes cut short, with one bit flipped, and other than they should be."""
    rng = np.random.default_rng(0)
    yield from (data[:length] for length in range(0, len(data), max(1, len(data) // 50)))
    bits = min(600, 8 * len(data))
    for bit in map(int, rng.choice(8 * len(data), bits, replace=False)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)
    yield from (b"null", b"[]", b"1", b'"a"', b"{}", b"\xff\xfe{}", b"[" * 10_000, b"9" * 5_000)


def refused(path: Path, read: Callable[[], object]) -> int:
    """Count the damaged files that are refused, each in one line; others may be read."""
    whole, told = path.read_bytes(), []
    for data in damaged(whole):
        path.write_bytes(data)
        try:
            read()
        except EncoderError as error:
            told.append(str(error))
    path.write_bytes(whole)
    assert not [text for text in told if "\n" in text or "pydantic" in text or len(text) > 800]
    return len(told)


def test_what_is_served(tmp_path: Path) -> None:
    serve_model(tmp_path, "a-run-fp16")
    assert refused(tmp_path / "serving.json", lambda: serving_card(tmp_path)) > 50


def test_a_card(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(BUILTIN.read_bytes())
    assert refused(path, lambda: read_card(path)) > 50


def test_a_calibration(tmp_path: Path) -> None:
    card = read_card()
    write_calibration(
        tmp_path,
        Calibration(
            encoder=card.sha256,
            made_at=datetime(2026, 1, 1, tzinfo=UTC),
            source="photos",
            products=3,
            confidence=card.confidence,
            figures={"auroc": 0.5, "right": None},
        ),
    )
    path = calibration_path(tmp_path, card.sha256)
    assert refused(path, lambda: confidence_of(tmp_path, EmbeddingSpace(card))) > 50


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "serving.json").mkdir()
    with pytest.raises(EncoderError, match=r"is a directory.*; delete it"):
        serving_card(tmp_path)


def test_a_card_that_does_not_fit_its_model() -> None:
    card = read_card(LITE)
    model = read_model(card, LITE.parent)
    with pytest.raises(EncoderError, match="1281 numbers, the model gives 1280"):
        Encoder(card.model_copy(update={"dimension": card.dimension + 1}), model, threads=1)
    encoder = Encoder(card.model_copy(update={"input_side_px": 225}), model, threads=1)
    with pytest.raises(EncoderError, match=r"crops of the shape \(1, 225, 225, 3\)"):
        encoder.encode(np.zeros((1, 225, 225, 3), np.uint8))
