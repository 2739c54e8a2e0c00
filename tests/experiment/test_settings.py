"""Settings of an experiment: sizes of data sets, and what all runs have in common."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from satchel.experiment.settings import DatasetSize, ExperimentSettings


def size(text: str) -> DatasetSize:
    return DatasetSize.model_validate(text)


def test_sizes_are_written_as_they_are_read() -> None:
    for text in ("81x50", "allx10", "81xall"):
        assert str(size(text)) == text
        assert size(size(text).model_dump_json().strip('"')) == size(text)
    for wrong in ("81", "81x", "x50", "81×50", "0x10", "1x10", "5x0", "ten x 3"):
        with pytest.raises(ValidationError):
            size(wrong)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"minutes": 3}, "differs between cells"),
        ({"sidepx": 96}, "no run has"),
        ({"side_px": 9}, "side_px"),
        ({"label_smoothing": 2}, "label_smoothing"),
    ],
)
def test_settings_that_no_run_can_have_are_refused(fit: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExperimentSettings(fit=fit)
