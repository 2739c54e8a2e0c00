"""Ordered parallel map over a stream, with a few threads and in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from itertools import islice
from threading import get_ident
from typing import TypeVar

from threadpoolctl import ThreadpoolController

In = TypeVar("In")
Out = TypeVar("Out")


def cores() -> int:
    """Return how many processors this process may use (not how many the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _thread_pools() -> ThreadpoolController:
    import numpy  # noqa: F401, PLC0415 - its library has to be there to be found

    return ThreadpoolController()


def small_products() -> AbstractContextManager[object]:
    """Limit matrix products to one thread inside this context.

    For products that take microseconds: the threads of numpy's BLAS keep spinning for
    milliseconds after each, on the cores that the next forward pass needs. With the built-in
    encoder, an answer took 82 ms with them and 67 without.
    """
    limited: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limited


def batched(items: Iterable[In], size: int) -> Iterator[list[In]]:
    """Yield lists of `size` consecutive items, the last one shorter (itertools', before 3.12)."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def map_in_order(
    function: Callable[[In], Out], items: Iterable[In], *, workers: int, ahead: int = 2
) -> Generator[Out, None, None]:
    """Yield `function(item)` for each item, in the items' order.

    At most `workers × (1 + ahead)` items are in progress or waiting to be yielded, so memory is
    bounded for an endless stream. Threads pay off where `function` releases the interpreter lock:
    reading, hashing, decoding, inference. Closing the iterator early cancels what has not begun.
    """
    waiting: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="satchel")
    owner = get_ident()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= workers * (1 + ahead):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # An iterator that was left lying may be closed by the garbage collector, in any thread:
        # one of the pool's own cannot wait for itself, nor for those that wait for its locks.
        pool.shutdown(wait=get_ident() == owner, cancel_futures=True)
