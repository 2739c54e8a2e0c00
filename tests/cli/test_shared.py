"""Progress bars and what Ctrl-C prints."""

from __future__ import annotations

import pytest
import typer

from satchel.cli.shared import Bars


def interrupted(bars: Bars) -> None:
    """Ctrl-C while a bar is shown."""
    with bars:
        bars.begin("embed", 3)
        raise KeyboardInterrupt


def test_ctrl_c_says_that_the_same_command_resumes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped:
        interrupted(Bars())
    assert stopped.value.exit_code == 130
    assert "run the same command again to resume" in capsys.readouterr().err


def test_a_command_that_resumes_by_another_says_so_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(Bars(resumes=False))
    assert "same command" not in capsys.readouterr().err
