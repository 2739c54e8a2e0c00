from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from satchel.config import Settings, default_settings_text
from satchel.errors import LocatorError
from satchel.locate import registry
from satchel.locate.registry import LocatorFile, configured_locator
from satchel.locate.rules import SALIENCY, LocateRules
from support.darknet_files import NET, NETWORKS, write
from support.stub_detector import write_detector


def configured(folder: Path, **settings: Any) -> LocatorFile:
    found = configured_locator(LocateRules(**settings), folder)
    assert found is not None
    return found


def test_the_built_in_detector_is_the_default(tmp_path: Path) -> None:
    assert configured(tmp_path).card.name == "satchel-locator"
    assert configured_locator(LocateRules(model=SALIENCY), tmp_path) is None
    assert "[locate]" in default_settings_text()


def test_settings_as_they_are_written() -> None:
    text = """
        [locate]
        model = "detector/bags.json"
        classes = { handbag = "bag", "high heel" = "shoe" }
        score = 0.2
    """
    rules = Settings.model_validate(tomllib.loads(text)).locate
    assert (rules.model, rules.score) == ("detector/bags.json", 0.2)
    assert rules.classes == {"handbag": "bag", "high heel": "shoe"}


def test_an_onnx_detector_with_its_card_s_settings(tmp_path: Path) -> None:
    (tmp_path / "detectors").mkdir()
    write_detector(tmp_path / "detectors", score=0.4, categories={"red": "bag"})
    file = configured(tmp_path, model="detectors/stub.json", pad=0.2)
    assert (file.card.score, file.card.categories, file.pad) == (0.4, {"red": "bag"}, 0.2)
    locator = file.load()
    assert locator.id == file.id
    assert locator.pad == 0.2
    photo = np.full((64, 64, 3), (255, 0, 0), np.uint8)
    assert {one.category for one in locator.locate([photo])[0]} == {"bag"}


def test_settings_overrule_the_card(tmp_path: Path) -> None:
    path = write_detector(tmp_path, score=0.4, categories={"red": "bag"})
    file = configured(tmp_path, model=str(path), score=0.1, classes={"blue": "shoe"})
    assert (file.card.score, file.card.categories) == (0.1, {"blue": "shoe"})
    assert len({file.id, configured(tmp_path, model=str(path)).id}) == 2


def test_a_darknet_detector(tmp_path: Path) -> None:
    write(tmp_path, NET + NETWORKS["v3-tiny"])
    (tmp_path / "net.names").rename(tmp_path / "goods.txt")
    settings = {"model": "net.cfg", "names": "goods.txt", "classes": {"a": "bag"}}
    file = configured(tmp_path, **settings)
    assert file.card.categories == {"a": "bag"}
    assert file.id == configured(tmp_path, **settings).id
    assert file.load().locate([np.zeros((50, 40, 3), np.uint8)])[0] is not None
    write(tmp_path, NET + NETWORKS["v4"])
    assert configured(tmp_path, **settings).id != file.id


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "none.json"}, "expected a model card"),
        ({"model": "none.cfg"}, "cannot read the Darknet cfg"),
        ({"model": "detector.pt"}, "or of a Darknet .cfg, got 'detector.pt'"),
        ({"model": ""}, "got ''"),
        ({"model": "stub.json", "classes": {"purple": "bag"}}, "does not fit.*purple"),
        ({"model": "stub.json", "classes": {"red": ""}}, "does not fit"),
    ],
)
def test_bad_settings(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    write_detector(tmp_path)
    with pytest.raises(LocatorError, match=message):
        configured_locator(LocateRules(**settings), tmp_path)


def test_no_detector_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILTIN_CARD", tmp_path / "locator.json")
    with pytest.raises(LocatorError, match="carries no detector"):
        configured_locator(LocateRules(model="builtin"), tmp_path)
    monkeypatch.setattr(registry, "BUILTIN_CARD", write_detector(tmp_path))
    assert configured(tmp_path, model="builtin").card.name == "stub"
