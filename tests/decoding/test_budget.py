from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Lock
from time import sleep

from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.decoding.budget import MemoryBudget


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 150), min_size=1, max_size=3), max_size=12))
def test_together_they_never_hold_more_than_there_is(jobs: list[list[int]]) -> None:
    """Each job needs other amounts one after another; all end, and all is given back."""
    budget, lock, held = MemoryBudget(100), Lock(), [0]

    def work(needs: list[int]) -> None:
        with budget.share() as share:
            mine = 0
            for needed in needs:
                with lock:
                    held[0] -= mine
                mine = 0
                share.set(needed)
                mine = min(needed, 100)
                with lock:
                    held[0] += mine
                    assert held[0] <= 100
                sleep(Random(needed).random() / 5_000)
            with lock:
                held[0] -= mine

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, jobs))
    assert budget.take(100) == 100
