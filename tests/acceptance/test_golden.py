"""The recorded answers of the command line and the API still hold, in the shipped configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acceptance.golden import RECORDED, answers, differences


@pytest.mark.flow
@pytest.mark.parametrize(
    "name",
    ["maison", pytest.param("grocery", marks=pytest.mark.shared)],
)
def test_answers_are_as_recorded(name: str, tmp_path: Path) -> None:
    recorded = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    assert differences(recorded, answers(name, tmp_path)) == []
