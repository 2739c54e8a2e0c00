"""Promotion of a built-in encoder, and rollback."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import fill, jpeg
from satchel.encode.card import BUILTIN, LITE
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serve_model, serving_card
from satchel.errors import EncoderError
from satchel.identify import Identifier
from satchel.progress import SILENT
from satchel.workflows.promote import promote_encoder
from satchel.workspace import Workspace
from support.cli import satchel


@pytest.mark.flow
def test_the_light_encoder_is_promoted_and_rolled_back(
    unpromoted: Workspace, catalogue_file: Path, shipped_encoder: Encoder
) -> None:
    fill(unpromoted, catalogue_file, shipped_encoder)
    before = Identifier.open(unpromoted).identify(jpeg("ring", 3))
    assert satchel(unpromoted.folder, "promote", "lite0").returncode == 0
    identifier = Identifier.open(unpromoted)
    assert identifier.space.id == Encoder.load(LITE).id
    assert identifier.identify(jpeg("ring", 3)).candidates[0].product.code == "M3"
    assert unpromoted.catalogue.vectors.count_missing(shipped_encoder.id) == 0  # kept
    assert satchel(unpromoted.folder, "promote", "--rollback").returncode == 0
    again = Identifier.open(unpromoted).identify(jpeg("ring", 3))
    assert [c.product.code for c in again.candidates] == [c.product.code for c in before.candidates]
    assert again.candidates[0].confidence == pytest.approx(before.candidates[0].confidence)


def test_an_empty_catalogue_can_switch_before_anything_is_embedded(unpromoted: Workspace) -> None:
    assert satchel(unpromoted.folder, "promote", "lite0").returncode == 0
    assert serving_card(unpromoted.models) == LITE
    assert satchel(unpromoted.folder, "promote", "clip-b16").returncode == 0
    assert serving_card(unpromoted.models) == BUILTIN


def test_a_photo_that_cannot_be_embedded_stops_it(filled: Workspace) -> None:
    stored = next(path for path in Path(filled.folder, "photos").rglob("*") if path.is_file())
    stored.write_bytes(b"damaged")
    before = serving_card(filled.models)
    with pytest.raises(EncoderError, match="1 photos could not be embedded"):
        promote_encoder(filled, "lite0", progress=SILENT)
    assert serving_card(filled.models) == before


def test_a_model_of_a_built_in_name_never_shadows_it(tmp_path: Path) -> None:
    (tmp_path / "lite0").mkdir()
    serve_model(tmp_path, "lite0")
    assert serving_card(tmp_path) == LITE
