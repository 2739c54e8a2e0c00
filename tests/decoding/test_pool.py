from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from conftest import draw, jpeg
from satchel.decoding import process
from satchel.decoding.decoder import IN_PROCESS
from satchel.decoding.pool import DecoderPool
from satchel.errors import (
    CorruptPhoto,
    DecoderError,
    EmptyPhoto,
    PhotoError,
    PhotoTooLarge,
    UnsupportedFormat,
)
from satchel.images import decode_around, thumbnail
from satchel.photo_formats import readable_formats
from satchel.photo_header import PhotoLimits
from satchel.records import Box
from support.heic_writer import heic
from support.icc import P3, matrix_profile

LIMITS = PhotoLimits()
PHOTO = jpeg("disc", size_wh=(1600, 1200))
PICTURE = Image.fromarray(draw("box"))


def new_pool(**options: float) -> DecoderPool:
    return DecoderPool(memory_bytes=300_000_000, workers=2, **options)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with new_pool() as kept:
        yield kept


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6
PHOTOS = {
    "JPEG": PHOTO,
    "turned": saved(PICTURE, "JPEG", exif=EXIF),
    "progressive": saved(PICTURE, "JPEG", progressive=True),
    "CMYK": saved(PICTURE.convert("CMYK"), "JPEG"),
    "PNG": saved(PICTURE, "PNG"),
    "palette": saved(PICTURE.quantize(9), "PNG"),
    "16 bit": saved(Image.fromarray(np.arange(4_096, dtype=np.uint16).reshape(64, 64)), "PNG"),
    "large PNG": saved(PICTURE.resize((1_600, 1_200)), "PNG"),
    "WebP": saved(PICTURE.convert("RGBA"), "WEBP"),
    "AVIF": saved(PICTURE, "AVIF", speed=10),
    "GIF": saved(PICTURE, "GIF"),
    "BMP": saved(PICTURE, "BMP"),
    "TIFF": saved(PICTURE, "TIFF", compression="tiff_lzw"),
    "JPEG in a TIFF": saved(PICTURE, "TIFF", compression="jpeg"),
    "Display P3": saved(PICTURE, "PNG", icc_profile=matrix_profile(P3)),
    "HEIC": heic(draw("box", size_wh=(320, 256))),
}
if "HEIC" not in readable_formats():
    del PHOTOS["HEIC"]


@pytest.mark.parametrize("name", PHOTOS)
def test_workers_give_what_this_process_gives(name: str, pool: DecoderPool) -> None:
    data = PHOTOS[name]
    for min_side_px in (None, 360, 100):
        ours = pool.decode(data, min_side_px=min_side_px)
        assert np.array_equal(ours, IN_PROCESS.decode(data, min_side_px=min_side_px))
    assert pool.clean(data) == IN_PROCESS.clean(data)
    assert pool.measure(data, LIMITS) == IN_PROCESS.measure(data, LIMITS)
    assert thumbnail(data, 99, decoder=pool) == thumbnail(data, 99)
    ours, box = decode_around(data, lambda *_: Box(0, 0, 0.4, 0.5), decoder=pool)
    assert box == Box(0, 0, 0.4, 0.5)
    assert np.array_equal(ours, decode_around(data, lambda *_: Box(0, 0, 0.4, 0.5))[0])


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", EmptyPhoto),
        (b"hello, this is text", UnsupportedFormat),
        (PHOTO[:9_000], CorruptPhoto),
        (PHOTOS["PNG"][:300], CorruptPhoto),
        (bytes(LIMITS.max_bytes + 1), PhotoTooLarge),
    ],
)
def test_errors_are_those_of_this_process(
    data: bytes, kind: type[PhotoError], pool: DecoderPool
) -> None:
    pids = pool.pids
    with pytest.raises(kind) as theirs:
        pool.decode(data)
    with pytest.raises(kind) as ours:
        IN_PROCESS.decode(data)
    assert str(theirs.value) == str(ours.value)
    assert pids <= pool.pids  # no worker was lost over it


def test_many_at_once_are_answered_by_a_few_workers(pool: DecoderPool) -> None:
    photos = list(PHOTOS.values()) * 4
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(pool.decode, photos))
    for data, pixels in zip(photos, found, strict=True):
        assert np.array_equal(pixels, IN_PROCESS.decode(data))
    assert len(pool.pids) <= 2


def test_large_photos_are_decoded_one_after_another() -> None:
    large = saved(Image.new("RGB", (3_000, 2_500)), "PNG")  # 37 MB of pixels and a byte each
    with DecoderPool(memory_bytes=40_000_000, workers=3) as small_budget:
        with ThreadPoolExecutor(3) as threads:
            shapes = {one.shape for one in threads.map(small_budget.decode, [large] * 6)}
        assert shapes == {(417, 500, 3)}


# -- faults --------------------------------------------------------------------------------------


def hold(pool: DecoderPool) -> int:
    """Stop the pool's one worker, once it is ready for photos; return its process id."""
    pool.decode(PHOTO)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    return pid


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def signal_later(pid: int, *signals: int) -> Thread:
    """Send signals to a process a moment later."""

    def send() -> None:
        time.sleep(0.3)
        for one in signals:
            os.kill(pid, one)

    thread = Thread(target=send)
    thread.start()
    return thread


def test_a_decoder_that_crashes_costs_its_photo_alone() -> None:
    with new_pool() as pool:
        pid = hold(pool)
        sender = signal_later(pid, signal.SIGSEGV, signal.SIGCONT)
        with pytest.raises(CorruptPhoto, match=r"decoder failed over it \(SIGSEGV\)"):
            pool.decode(PHOTO)
        sender.join()
        assert pool.decode(PHOTO).shape == (450, 600, 3)
        assert pid not in pool.pids
        assert not running(pid)


def test_a_worker_that_is_killed_from_outside_costs_nothing() -> None:
    with new_pool() as pool:
        sender = signal_later(hold(pool), signal.SIGKILL)
        assert pool.decode(PHOTO).shape == (450, 600, 3)
        sender.join()


def test_a_photo_that_gets_every_worker_killed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system does where it runs out of memory."""
    answering(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with new_pool() as pool, pytest.raises(CorruptPhoto, match="SIGKILL"):
        pool.decode(PHOTO)


def test_a_worker_that_died_idle_costs_nothing() -> None:
    with new_pool() as pool:
        pool.decode(PHOTO)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSEGV)
        while running(pid):
            time.sleep(0.01)
        assert pool.clean(PHOTO) == IN_PROCESS.clean(PHOTO)


def test_a_photo_beyond_its_deadline_is_refused_and_the_next_is_not() -> None:
    with new_pool(deadline_s=30) as pool:
        pid = hold(pool)
        pool._deadline_s = 0.2
        with pytest.raises(PhotoTooLarge, match=r"decoded within 0.2 s"):
            pool.decode(PHOTO)
        assert not running(pid)
        pool._deadline_s = 30
        assert pool.decode(PHOTO).shape == (450, 600, 3)


def test_faults_among_many_cost_only_what_they_hit() -> None:
    """Workers are shot while eight threads decode: each shot costs one photo at most."""
    expected, shots = IN_PROCESS.decode(PHOTO), 5
    with new_pool() as pool, ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(pool.decode, PHOTO) for _ in range(60)]
        for shot in range(1, shots + 1):
            while sum(one.done() for one in waiting) < 10 * shot:
                time.sleep(0.001)
            os.kill(min(pool.pids), signal.SIGSEGV)
        faults = [one.exception() for one in waiting]
        assert {type(fault) for fault in faults} <= {CorruptPhoto, type(None)}
        assert sum(fault is not None for fault in faults) <= shots
        right = [one.result() for one in waiting if one.exception() is None]
        assert all(np.array_equal(pixels, expected) for pixels in right)


# -- workers are not trusted ---------------------------------------------------------------------


def answering(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Start programs in place of workers, which run `code` when they have a photo."""
    program = (
        "import socket, sys; channel = socket.socket(fileno=int(sys.argv[1])); "
        "channel.sendall(b'{\"ready\": true}\\n'); channel.recv(9000); "
    )
    monkeypatch.setattr(process, "_PROGRAM", program + code)


@pytest.mark.parametrize(
    "answer",
    [
        "nonsense",
        "[]",
        "{}",
        '{"shape": [1000000000, 1]}',
        '{"shape": [100, 100]}',
        '{"shape": [-1, -1]}',
        '{"shape": "abc"}',
        "x" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_the_photos_error(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = answer.encode() + b"\n"
    answering(monkeypatch, f"channel.sendall({line!r}); channel.recv(1)")
    with new_pool() as pool:
        with pytest.raises(CorruptPhoto, match="its decoder failed"):
            pool.decode(b"tiny")
        assert not pool.pids
        with pytest.raises(CorruptPhoto):
            pool.clean(b"tiny")


def test_errors_of_other_kinds_are_not_raised_at_a_workers_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = b'{"error": "WorkspaceError", "reason": "no"}\n'
    answering(monkeypatch, f"channel.sendall({said!r}); channel.recv(1)")
    with new_pool() as pool, pytest.raises(CorruptPhoto, match="no"):
        pool.decode(PHOTO)


def test_workers_that_do_not_start_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for program, reason in (("raise SystemExit(7)", "it ended with code -?[0-9]+"), (None, "such")):
        with monkeypatch.context() as patched:
            if program is None:
                patched.setattr(sys, "executable", "/nowhere/python")
            else:
                patched.setattr(process, "_PROGRAM", program)
            with new_pool() as pool, pytest.raises(DecoderError, match=reason):
                pool.decode(PHOTO)


# -- no worker is left ---------------------------------------------------------------------------

ORPHANS = """
import os, signal
from satchel.decoding.pool import DecoderPool
pool = DecoderPool(memory_bytes=300_000_000, workers=1)
pool.start()
print(*pool.pids, flush=True)
os.kill(os.getpid(), signal.{end})
"""


@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT"])
def test_workers_end_with_the_process_that_started_them(end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORPHANS.format(end=end)],
        capture_output=True,
        text=True,
        check=False,
    )
    (pid,) = map(int, done.stdout.split())
    until = time.monotonic() + 60
    while running(pid):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_pool_that_is_forgotten_ends_its_workers() -> None:
    pool = new_pool()
    pool.decode(PHOTO)
    (pid,) = pool.pids
    del pool
    gc.collect()
    assert not running(pid)
