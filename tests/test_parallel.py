from __future__ import annotations

import gc
import threading
from itertools import count, islice

import pytest

from satchel.parallel import batched, map_in_order


def test_order_is_kept() -> None:
    assert list(map_in_order(lambda n: n * n, range(50), workers=4)) == [n * n for n in range(50)]


def test_an_endless_stream_is_read_only_a_little_ahead() -> None:
    read = count()
    results = map_in_order(lambda n: n, (next(read) for _ in count()), workers=3, ahead=2)
    assert list(islice(results, 10)) == list(range(10))
    assert next(read) <= 10 + 3 * 3
    results.close()


def test_work_runs_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=10)  # passes only if three calls are under way at once
    assert len(list(map_in_order(lambda _: barrier.wait(), range(3), workers=3))) == 3


def test_an_error_comes_where_its_item_was() -> None:
    def fail_at_three(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n

    results = map_in_order(fail_at_three, range(100), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_an_iterator_left_lying_may_be_collected_in_its_own_thread() -> None:
    left, collected = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 1 and left.wait(10):
            gc.collect()
            collected.set()

    results = map_in_order(work, range(9), workers=1)
    next(results)
    gc.disable()  # not here
    try:
        cycle: list[object] = [results]
        cycle.append(cycle)
        del results, cycle
        left.set()
        assert collected.wait(10)
    finally:
        gc.enable()


def test_batches() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []
