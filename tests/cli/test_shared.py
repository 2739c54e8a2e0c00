"""Progress bars and what Ctrl-C prints."""

from __future__ import annotations

import pytest
import typer

from satchel.cli.shared import Bars


def interrupted(bars: Bars, stage: str = "embed") -> None:
    """Ctrl-C while a bar is shown."""
    with bars:
        bars.begin(stage, 3)
        bars.advance(2)
        raise KeyboardInterrupt


def test_ctrl_c_says_that_the_same_command_resumes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped:
        interrupted(Bars())
    assert stopped.value.exit_code == 130
    told = "stopped; embed: 2 of 3 are kept; run the same command again to resume"
    assert told in capsys.readouterr().err


def test_ctrl_c_does_not_call_work_kept_that_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        interrupted(Bars(), "calibrate")
    assert "kept, calibrate begins again" in capsys.readouterr().err


def test_a_command_that_resumes_by_another_says_so_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(Bars(resumes=False))
    assert "same command" not in capsys.readouterr().err
