"""Which encoder is served: one file, replaced in one step, and never a way out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from satchel.encode.card import BUILTIN
from satchel.encode.registry import read_serving, roll_back, serve_model, serving_card
from satchel.errors import EncoderError, UsageError


def test_the_builtin_one_until_something_is_promoted_and_after_rolling_back(
    tmp_path: Path,
) -> None:
    models = tmp_path / "models"
    assert serving_card(models) == BUILTIN
    serve_model(models, "first-fp16")
    serve_model(models, "second-int8")
    assert serving_card(models) == models / "second-int8" / "card.json"
    assert roll_back(models) == "first-fp16"
    assert serving_card(models) == models / "first-fp16" / "card.json"
    assert roll_back(models) == ""
    assert serving_card(models) == BUILTIN
    with pytest.raises(UsageError, match="nothing to go back to"):
        roll_back(models)


def test_the_way_back_is_not_endless(tmp_path: Path) -> None:
    for number in range(50):
        serve_model(tmp_path, f"run-{number}")
    assert len(read_serving(tmp_path).history) == 20


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"history": []}',
        '{"history": ["../../etc"]}',
        '{"history": ["/abs"]}',
        '{"history": [".."]}',
        '{"history": ["a/b"]}',
        '{"history": ["ok"], "more": 1}',
    ],
)
def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "serving.json").write_text(text)
    with pytest.raises(EncoderError, match="built-in one"):
        serving_card(tmp_path)
