"""What every worker process does: load, close itself off, answer one job after another."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from satchel.decoding import sandbox
from satchel.decoding.channel import Channel

Loaded = TypeVar("Loaded")


def answer_jobs(
    channel_fd: int,
    load: Callable[[], Loaded],
    answer: Callable[[Mapping[str, Any], Loaded, Channel, sandbox.Limits], dict[str, Any]],
) -> None:
    """Answer jobs until the other side closes the channel.

    Args:
        channel_fd: descriptor of a connected socket.
        load: loads what is otherwise loaded on first use: afterwards nothing can be opened.
        answer: a job → what is sent back; limits memory and time for the job before it begins.
    """
    channel = Channel(socket.socket(fileno=channel_fd))
    try:
        loaded = load()
        limits = sandbox.Limits()
        sandbox.close_off()
    except Exception as error:  # said there: nobody reads what this process prints
        channel.send({"failed": f"{type(error).__name__}: {error}"[:1_000]})
        return
    channel.send({"ready": True})
    while (job := channel.receive()) is not None:
        channel.send(answer(job, loaded, channel, limits))
