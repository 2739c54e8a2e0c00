from __future__ import annotations

import subprocess
import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems limit less")


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, which may limit itself."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@linux
def test_memory_beyond_the_limit_is_refused_and_the_next_photo_has_its_own() -> None:
    done = run(
        """
import numpy as np
from satchel.decoding.sandbox import Limits
limits = Limits()
limits.allow(memory_bytes=50_000_000, cpu_s=60)
kept = np.ones(40_000_000, np.uint8)
try:
    np.ones(40_000_000, np.uint8)
except MemoryError:
    print("refused")
del kept
limits.allow(memory_bytes=100_000_000, cpu_s=60)
print(len(np.ones(90_000_000, np.uint8)))
"""
    )
    assert done.stdout.split() == ["refused", "90000000"], done.stderr


def test_processor_time_beyond_the_limit_ends_the_process() -> None:
    done = run(
        """
from satchel.decoding.sandbox import Limits
Limits().allow(memory_bytes=100_000_000, cpu_s=0.1)
while True:
    pass
"""
    )
    assert done.returncode == -24  # SIGXCPU


def test_nothing_can_be_opened_any_more() -> None:
    done = run(
        """
import os, socket, subprocess, sys
from satchel.decoding.sandbox import close_off
close_off()
for attempt in (
    lambda: open("/etc/hostname"),
    lambda: open("/tmp/new", "w"),
    lambda: os.open("/", os.O_RDONLY),
    lambda: socket.socket(),
    lambda: os.pipe(),
    lambda: os.dup(1),
    lambda: subprocess.run([sys.executable]),
):
    try:
        attempt()
    except OSError as error:
        print(error.errno)
"""
    )
    assert len(done.stdout.split()) == 7, done.stderr


@linux
def test_with_descriptors_to_spare_landlock_still_refuses() -> None:
    done = run(
        """
import ctypes, os
from satchel.decoding.sandbox import _landlock
if ctypes.CDLL(None).syscall(444, None, 0, 1) < 1:
    print("no Landlock")
else:
    _landlock()
    for path in ("/etc/hostname", "/"):
        try:
            os.open(path, os.O_RDONLY)
        except PermissionError:
            print("refused")
"""
    )
    assert done.stdout.split("\n")[:-1] in (["refused"] * 2, ["no Landlock"]), done.stderr
