"""Settings of training: a file, and what the command line gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from satchel.adapt.settings import AdaptSettings
from satchel.errors import UsageError
from satchel.train.settings import EncoderSettings, read_settings_file


def test_the_later_wins_key_by_key_and_what_is_not_given_stays(tmp_path: Path) -> None:
    path = tmp_path / "adapt.toml"
    path.write_text("minutes = 5\n[pairs]\nsteps = 7\nbatch = 8\n")
    found = read_settings_file(
        AdaptSettings,
        path,
        {"minutes": 6, "pairs": {"batch": 12, "twins": 2}},
        {"minutes": 7, "seed": None, "pairs": {"twins": 3}},
    )
    assert (found.minutes, found.seed) == (7, 0)
    assert (found.pairs.steps, found.pairs.batch, found.pairs.twins) == (7, 12, 3)
    assert read_settings_file(EncoderSettings, None) == EncoderSettings()


def test_what_is_no_setting_is_named(tmp_path: Path) -> None:
    for given in ({"epoch": 3}, {"epochs": 0}):
        with pytest.raises(UsageError, match=r"epoch.*the settings are"):
            read_settings_file(EncoderSettings, None, given)
    with pytest.raises(UsageError, match="expected a settings file"):
        read_settings_file(EncoderSettings, tmp_path / "none.toml")
