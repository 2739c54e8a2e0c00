"""Limits that a worker process puts on itself before it touches a photo.

It opens no file and no connection any more: it has no descriptors left, and where the kernel has
Landlock (Linux 5.13), no right to. Memory and processor time are limited anew for each photo.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from math import ceil
from pathlib import Path
from typing import Final

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # system calls, the same numbers on all machines
_VERSION_FLAG, _NO_NEW_PRIVILEGES = 1, 38
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""Version of Landlock → number of rights on files that it knows, the lowest bits; then 16."""
_TCP_RIGHTS: Final = 3
_SCOPES: Final = 3  # abstract sockets and signals of other processes


class Limits:
    """Memory and processor time of this process, counted from when this object is made."""

    def __init__(self) -> None:
        self._base_bytes = _data_bytes()

    def allow(self, *, memory_bytes: int, cpu_s: float) -> None:
        """Limit what comes next: beyond the memory, allocating fails; beyond the time, it ends."""
        if sys.platform == "linux":  # elsewhere the limit does not count what `mmap` gives
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (self._base_bytes + memory_bytes, hard))
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (ceil(used.ru_utime + used.ru_stime + cpu_s), hard))


def close_off() -> None:
    """Give up opening files and connections, and leaving core dumps, for good."""
    if sys.platform == "linux":
        _landlock()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _landlock() -> None:
    """Give up every right on files and connections, where the kernel knows Landlock."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return
    rights = [(1 << _FILE_RIGHTS.get(version, 16)) - 1]
    rights += [_TCP_RIGHTS] if version >= 4 else []
    rights += [_SCOPES] if version >= 6 else []
    ruleset = (ctypes.c_uint64 * len(rights))(*rights)
    handle = libc.syscall(_CREATE_RULESET, ruleset, ctypes.sizeof(ruleset), 0)
    if handle >= 0:
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        libc.syscall(_RESTRICT_SELF, handle, 0)


def _data_bytes() -> int:
    """Memory that counts towards RLIMIT_DATA now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:
        return 0
    return pages * resource.getpagesize()
