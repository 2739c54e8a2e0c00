"""The last promotion is taken back: of an encoder or a locator, in the order they were made."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import jpeg
from satchel.config import read_settings
from satchel.encode.encoder import Encoder
from satchel.encode.registry import (
    LocatorSwitch,
    read_serving,
    serve_model,
    serving_card,
    write_serving,
)
from satchel.errors import EncoderError, LocatorError, UsageError
from satchel.identify import Identifier
from satchel.locate.onnx import OnnxLocator
from satchel.served import load_embedder, served_space
from satchel.workflows.embedding import embed_missing
from satchel.workflows.promote_locator import changed_settings, with_locator
from satchel.workflows.roll_back import RolledBack, roll_back
from satchel.workspace import Workspace
from support.cli import satchel
from support.stub_detector import write_detector

HALVES = "models/halves/stub.json"


def locating(workspace: Workspace) -> str:
    return read_settings(workspace.folder / "satchel.toml").locate.model


@pytest.fixture
def switched(filled: Workspace) -> Workspace:
    """A workspace of which a detector was promoted, its gallery embedded with both locators."""
    (filled.models / "halves").mkdir()
    write_detector(filled.models / "halves", fit="stretch")
    candidate = with_locator(filled, HALVES)
    embed_missing(candidate, load_embedder(candidate, threads=1))
    switch = LocatorSwitch(locator=HALVES, before=filled.settings.locate.model)
    write_serving(filled.models, read_serving(filled.models).with_change(switch))
    (filled.folder / "satchel.toml").write_text(changed_settings(candidate))
    return Workspace.open(filled.folder)


def test_the_locator_of_before_locates_and_no_photo_is_embedded_again(
    filled: Workspace, switched: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = jpeg("disc", 50)
    before = Identifier.open(filled).identify(photo)
    assert Identifier.open(switched).identify(photo).boxes[0].width == 0.5
    with monkeypatch.context() as patch:  # cards and stored embeddings are enough
        patch.setattr(Encoder, "load", None)
        patch.setattr(OnnxLocator, "__init__", None)
        assert roll_back(switched) == RolledBack("saliency", locator=True, missing=0)
    again = Workspace.open(filled.folder)
    assert again.settings == filled.settings
    assert served_space(again).id == served_space(filled).id
    answer = Identifier.open(again).identify(photo)
    assert answer.boxes == before.boxes
    assert [c.product.code for c in answer.candidates] == [
        c.product.code for c in before.candidates
    ]
    assert answer.candidates[0].confidence == pytest.approx(before.candidates[0].confidence)


def test_promotions_are_taken_back_one_by_one(switched: Workspace) -> None:
    stub = serving_card(switched.models)
    serve_model(switched.models, "lite0")
    assert satchel(switched.folder, "promote", "--rollback").returncode == 0
    assert (serving_card(switched.models), locating(switched)) == (stub, HALVES)
    done = satchel(switched.folder, "promote", "--rollback")
    assert "saliency locates again" in done.stdout + done.stderr
    assert (serving_card(switched.models), locating(switched)) == (stub, "saliency")


def test_photos_added_since_are_counted(switched: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "new"
    (source / "M9").mkdir(parents=True)
    (source / "M9" / "1.jpg").write_bytes(jpeg("ring", 70))
    assert satchel(switched.folder, "import", str(source)).returncode == 0
    done = satchel(switched.folder, "promote", "--rollback")
    assert "1 photos were added since" in done.stdout + done.stderr


def test_a_locator_that_is_gone_is_not_gone_back_to(switched: Workspace) -> None:
    gone = LocatorSwitch(locator=HALVES, before="models/gone/card.json")
    write_serving(switched.models, read_serving(switched.models).with_change(gone))
    before = (switched.folder / "satchel.toml").read_bytes()
    history = read_serving(switched.models)
    with pytest.raises(LocatorError, match="gone"):
        roll_back(switched)
    assert (switched.folder / "satchel.toml").read_bytes() == before
    assert read_serving(switched.models) == history


def test_an_encoder_that_is_gone_is_not_gone_back_to(filled: Workspace) -> None:
    serve_model(filled.models, "gone")
    serve_model(filled.models, "lite0")
    with pytest.raises(EncoderError, match=r"gone was served before .* another encoder, such as"):
        roll_back(filled)
    assert read_serving(filled.models).name == "lite0"


def test_settings_changed_by_hand_since_stay(switched: Workspace) -> None:
    """Who has set another locator since has undone the promotion: the one before it is next."""
    path = switched.folder / "satchel.toml"
    path.write_text(path.read_text().replace(HALVES, "builtin"))
    result = roll_back(Workspace.open(switched.folder))
    assert not result.locator
    assert locating(switched) == "builtin"


def test_without_a_promotion_there_is_nothing_to_go_back_to(unpromoted: Workspace) -> None:
    with pytest.raises(UsageError, match="nothing to go back to"):
        roll_back(unpromoted)
