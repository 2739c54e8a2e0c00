"""Text and barcodes in pixels, read in a process that may fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from satchel.errors import MissingExtra, ReadingError
from satchel.reading.reader import PhotoReader
from satchel.workspace import Workspace
from support.cli import satchel
from support.waiting import wait_until

zxingcpp = pytest.importorskip("zxingcpp", reason="needs the extra: pip install '.[ocr]'")
pytest.importorskip("rapidocr", reason="needs the extra: pip install '.[ocr]'")
pytestmark = pytest.mark.flow


def tag(text: str, size_wh: tuple[int, int] = (900, 500)) -> np.ndarray:
    picture = Image.new("RGB", size_wh, (236, 230, 220))
    font = ImageFont.load_default(56)
    ImageDraw.Draw(picture).multiline_text((120, 80), text, (40, 30, 30), font, spacing=24)
    return np.asarray(picture).copy()


@pytest.fixture(scope="module")
def reader() -> Iterator[PhotoReader]:
    with PhotoReader() as made:
        yield made


def test_text_and_barcodes_are_read_with_their_boxes(reader: PhotoReader):
    picture = tag("ATELIER PARIS\nM41414 AR1927")
    code = zxingcpp.create_barcode("M41414", zxingcpp.BarcodeFormat.Code128)
    bars = np.asarray(code.to_image(scale=3))
    picture[300 : 300 + bars.shape[0], 150 : 150 + bars.shape[1]] = bars[..., None]
    texts = {one.text.replace(" ", ""): one for one in reader.read(picture)}
    barcode, line = texts["M41414"], texts["M41414AR1927"]
    assert barcode.barcode == "Code 128"
    assert barcode.box.y0 > 0.55
    assert line.barcode is None
    assert line.score > 0.8
    assert 0.25 < line.box.y0 < line.box.y1 < 0.5


def test_a_photo_without_text_and_a_tiny_one(reader: PhotoReader):
    assert reader.read(np.full((300, 400, 3), 200, np.uint8)) == ()
    assert reader.read(np.zeros((1, 1, 3), np.uint8)) == ()
    assert reader.read(np.zeros((3, 4000, 3), np.uint8)) == ()


def test_turned_text_is_read(reader: PhotoReader):
    for turns in (1, 2):
        texts = reader.read(np.ascontiguousarray(np.rot90(tag("M41414 AR1927"), turns)))
        assert any("M41414" in one.text for one in texts)


def test_a_process_that_ends_is_replaced(reader: PhotoReader):
    reader.read(np.zeros((10, 10, 3), np.uint8))
    os.kill(reader._workers[0].pid, signal.SIGKILL)
    with pytest.raises(ReadingError, match="cannot be read"):
        reader.read(np.zeros((10, 10, 3), np.uint8))
    assert reader.read(np.zeros((10, 10, 3), np.uint8)) == ()


def test_nothing_is_fetched_or_left_in_the_home_folder(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Models are of the package, and the telemetry of ONNX Runtime is off."""
    for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with PhotoReader() as homeless:
        assert homeless.read(tag("M41414"))
    assert list(tmp_path.rglob("*")) == []


def _ended(program: Path) -> bool:
    return not program.exists()


def test_a_process_without_photos_ends_and_another_one_starts():
    nothing = np.zeros((10, 10, 3), np.uint8)
    with PhotoReader(idle_s=0.2) as resting:
        for _ in range(2):
            assert resting.read(nothing) == ()
            (worker,) = resting._workers
            program = Path(f"/proc/{worker.pid}/exe")
            wait_until(lambda: not resting._workers)
            wait_until(partial(_ended, program))


def test_a_process_with_photos_to_read_does_not_end():
    nothing = np.zeros((10, 10, 3), np.uint8)
    with PhotoReader(idle_s=60) as busy:
        assert busy.read(nothing) == ()
        (worker,) = busy._workers
        busy._end_idle()  # a timer that fires while the next photo is being read
        assert busy.read(nothing) == ()
        assert busy._workers == [worker]


def test_a_photo_that_takes_too_long_is_refused():
    with PhotoReader(deadline_s=0.001) as hasty, pytest.raises(ReadingError, match="too long"):
        hasty.read(tag("M41414"))


def test_the_command_line_says_what_was_read(filled: Workspace, tmp_path):
    Image.fromarray(tag("MADE IN FRANCE\nM3  AR1927")).save(tmp_path / "tag.png")
    (tmp_path / "none.jpg").write_bytes(b"no photo")
    done = satchel(filled.folder, "read", str(tmp_path / "tag.png"), str(tmp_path / "none.jpg"))
    assert done.returncode == 1
    assert "none.jpg: " in done.stderr
    assert "tag.png: no code of the catalogue; read: MADE IN FRANCE" in done.stderr  # M3 is short


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("satchel.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="'ocr'"):
        PhotoReader()
