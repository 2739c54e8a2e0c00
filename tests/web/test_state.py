from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from threading import Barrier, BrokenBarrierError, Event, Lock

import pytest

from satchel.errors import Busy, UsageError
from satchel.parallel import cores
from satchel.web.state import ServerState
from satchel.web.uploads import ReceivedPhoto

TIMEOUT_S = 60


class SlowFile(BytesIO):
    """A photo's file whose reading waits for a signal, and says when it is being read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reading = Event()
        self.go_on = Event()

    def read(self, size: int | None = -1) -> bytes:
        self.reading.set()
        assert self.go_on.wait(TIMEOUT_S)
        return super().read(size)


class CountingFile(BytesIO):
    """A photo's file that counts how many like it are being read at once."""

    now = most = 0
    lock = Lock()
    meeting: Barrier

    def read(self, size: int | None = -1) -> bytes:
        cls = type(self)
        with cls.lock:
            cls.now += 1
            cls.most = max(cls.most, cls.now)
        with suppress(BrokenBarrierError):
            cls.meeting.wait(0.3)  # gives others the chance to come in as well
        with cls.lock:
            cls.now -= 1
        return super().read(size)


def photo(file: BytesIO) -> ReceivedPhoto:
    return ReceivedPhoto("a.jpg", len(file.getvalue()), file)


def test_who_comes_when_all_places_are_taken_is_sent_away(own_workspace, draw):
    state = ServerState(own_workspace, places=1)
    slow = SlowFile(draw("Z-9"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(state.identify, [photo(slow)])
        assert slow.reading.wait(TIMEOUT_S)
        with pytest.raises(Busy):
            state.identify([photo(BytesIO(draw("Z-9")))])
        slow.go_on.set()
        assert first.result(TIMEOUT_S).found.candidates[0].product.code == "Z-9"
    assert state.identify([photo(BytesIO(draw("Z-9")))]).found.candidates


def test_at_most_as_many_run_as_there_are_cores(own_workspace, draw):
    state = ServerState(own_workspace)
    CountingFile.meeting = Barrier(cores() + 1)
    with ThreadPoolExecutor(cores() + 3) as pool:
        data = draw("Z-9")
        for found in pool.map(
            lambda _: state.identify([photo(CountingFile(data))]), range(cores() + 3)
        ):
            assert found.found.candidates[0].product.code == "Z-9"
    assert 1 <= CountingFile.most <= cores()


def test_many_threads_find_the_first_index_together(own_workspace, draw):
    state = ServerState(own_workspace)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: state.identify([photo(BytesIO(draw("M22675")))]), range(8))
        )
    assert {answer.found.candidates[0].product.code for answer in answers} == {"M22675"}


def test_an_import_without_index_changes_nothing(own_workspace, add_without_index, tmp_path, draw):
    state = ServerState(own_workspace)
    add_without_index(own_workspace.folder, tmp_path / "more", "NEW")
    found = state.identify([photo(BytesIO(draw("NEW")))])
    assert "NEW" not in {candidate.product.code for candidate in found.found.candidates}
    assert state.indexed() == 8


def test_no_photos(own_workspace):
    with pytest.raises(UsageError, match="got 0"):
        ServerState(own_workspace).identify([])
