"""Which encoder is served: one file, replaced in one step, and never a way out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from satchel.encode.card import BUILTIN
from satchel.encode.registry import (
    LocatorSwitch,
    Serving,
    read_serving,
    serve_model,
    serving_card,
)
from satchel.errors import EncoderError


def test_the_builtin_one_until_something_is_promoted(tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert serving_card(models) == BUILTIN
    serve_model(models, "first-fp16")
    serve_model(models, "second-int8")
    assert serving_card(models) == models / "second-int8" / "card.json"
    assert read_serving(models).encoders == ("", "first-fp16", "second-int8")


def test_the_way_back_is_not_endless(tmp_path: Path) -> None:
    for number in range(50):
        serve_model(tmp_path, f"run-{number}")
    assert len(read_serving(tmp_path).history) == 20


def test_many_switches_of_the_locator_never_push_the_encoder_out() -> None:
    serving = Serving().with_change("own-fp16")
    for number in range(50):
        serving = serving.with_change(LocatorSwitch(locator=f"{number}", before=f"{number - 1}"))
        assert serving.name == "own-fp16"
        assert len(serving.history) <= 21
    assert len(serving.with_change("next").history) == 21


def test_switches_that_somebody_undid_by_hand_do_not_stand() -> None:
    serving = Serving()
    for locator, before in (("a", "builtin"), ("b", "a")):
        serving = serving.with_change(LocatorSwitch(locator=locator, before=before))
    assert serving.standing("b") == serving
    assert serving.standing("a").history == serving.history[:-1]
    assert serving.standing("saliency") == Serving()
    encoder = serving.with_change("own-fp16")
    assert encoder.standing("saliency") == encoder


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
        '{"history": [{"locator": "a", "before": "b"}]}',
        '{"history": ["ok", {"locator": "a"}]}',
    ],
)
def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "serving.json").write_text(text)
    with pytest.raises(EncoderError, match="built-in one"):
        serving_card(tmp_path)
