"""A detector becomes the workspace's locator, if identification stays as good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conftest import jpeg
from satchel.config import read_settings, with_setting
from satchel.encode.registry import CARD
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.served import served_space
from satchel.train.runs import Run, new_record
from satchel.train.settings import LocatorSettings
from satchel.workflows.promote_locator import (
    LocatorCheck,
    check_locators,
    promote_locator,
    with_locator,
)
from satchel.workflows.roll_back import roll_back
from satchel.workspace import Workspace
from support.stub_detector import write_detector

pytest.importorskip("torch", reason="a run's record names torch: pip install '.[train]'")
pytestmark = pytest.mark.train


def exported_run(workspace: Workspace, **card: Any) -> Run:
    """A run whose exported detector gives the left or the right half of a photo."""
    record = new_record("locator", "train locator", LocatorSettings(), "halves")
    run = Run.create(workspace.runs, record)
    folder = workspace.models / run.name
    folder.mkdir(parents=True)
    write_detector(folder, **card).rename(folder / CARD)
    return run


def test_the_promoted_detector_locates(filled: Workspace) -> None:
    run = exported_run(filled, fit="stretch")
    before = (filled.folder / "satchel.toml").read_text()
    promote_locator(filled, run, anyway=True)
    shop = Workspace.open(filled.folder)
    assert shop.settings.locate.model == "models/halves/card.json"
    assert served_space(shop).id != served_space(filled).id
    found = Identifier.open(shop).identify(jpeg("disc", 50))
    assert found.boxes[0].width == 0.5
    after = (filled.folder / "satchel.toml").read_text()
    assert after == before.replace('model = "saliency"', 'model = "models/halves/card.json"')
    promote_locator(shop, run, anyway=True)  # again: nothing to take back twice
    assert roll_back(shop).name == "saliency"
    assert (filled.folder / "satchel.toml").read_text() == before
    assert served_space(Workspace.open(filled.folder)).id == served_space(filled).id


def test_identification_that_gets_worse_is_refused(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = exported_run(filled)
    before = (filled.folder / "satchel.toml").read_bytes()
    monkeypatch.setattr(
        "satchel.workflows.promote_locator.check_locators",
        lambda *_, **__: LocatorCheck(100, 0.9, 0.7, gained=5, lost=25),
    )
    with pytest.raises(UsageError, match=r"90\.0% of 100 photos before, 70\.0% after"):
        promote_locator(filled, run)
    assert (filled.folder / "satchel.toml").read_bytes() == before
    assert Identifier.open(filled).identify(jpeg("disc", 50)).candidates


def test_what_is_worse_by_more_than_chance() -> None:
    assert not LocatorCheck(50, 0.5, 0.48, gained=4, lost=5).worse
    assert not LocatorCheck(50, 0.5, 0.6, gained=5, lost=0).worse
    assert LocatorCheck(50, 0.5, 0.4, gained=0, lost=5).worse
    assert not LocatorCheck(50, 0.5, 0.48, gained=0, lost=1).worse
    assert "not checked" in str(LocatorCheck(0, 0, 0, 0, 0))


def test_every_photo_is_looked_for_among_the_others(filled: Workspace) -> None:
    """Five products of two photos, drawn alike: each photo's twin is found; the same twice."""
    check = check_locators(filled, filled)
    assert (check.queries, check.gained, check.lost) == (10, 0, 0)
    assert check.before == check.after > 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[locate]\n",
        '# mine\n[locate]\nmodel = "old.json"\npad = 0.1\n\n[serve]\nport = 1234\n',
        "[search]\n\n[locate]\n#model = 1\n[serve]\n",
    ],
)
def test_one_line_of_the_settings_changes(filled: Workspace, text: str) -> None:
    path = filled.folder / "satchel.toml"
    path.write_text(text)
    candidate = with_locator(Workspace.open(filled.folder), "models/é/card.json")
    changed = with_setting(
        path, "locate", "model", "models/é/card.json", expected=candidate.settings
    )
    path.write_text(changed, encoding="utf-8")
    assert read_settings(path) == candidate.settings
    kept = [line for line in text.splitlines() if "old.json" not in line]
    assert [line for line in changed.splitlines() if line in kept or not line] or not kept


@pytest.mark.parametrize("text", ['locate = { model = "old.json" }\n', "[locate]\nscore = 0.5\n"])
def test_settings_that_a_program_cannot_change_are_named(filled: Workspace, text: str) -> None:
    path: Path = filled.folder / "satchel.toml"
    path.write_text(text)
    run = exported_run(filled)
    with pytest.raises(UsageError, match="cannot be changed by program"):
        promote_locator(Workspace.open(filled.folder), run)
    assert path.read_text() == text
