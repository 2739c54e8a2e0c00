"""SIGKILL at random moments: the next run ends as one that nobody disturbed."""

from __future__ import annotations

import random

import pytest

from acceptance.kill_trials import Commands, serve_trial

COMMANDS = ("import", "index", "curate", "calibrate", "serve")
MANY = 42
"""Kills of each command: 210 in all."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("kills"))


def kill(commands: Commands, command: str, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    if command == "serve":
        serve_trial(commands, kills, rng)
    else:
        commands.trial(command, kills, rng)


@pytest.mark.flow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_completes_as_an_undisturbed_one(commands: Commands, command: str) -> None:
    kill(commands, command, 1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_two_hundred_kills(commands: Commands, command: str) -> None:
    kill(commands, command, MANY, seed=1)
