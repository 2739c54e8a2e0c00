"""Batch samplers: shuffled batches, and P products × K photos.

A batch is a pure function of (seed, epoch, number): training resumes at any batch without replaying
the earlier ones, and in distributed training every process computes its own. An epoch contains
every photo at least once; all batches have the same size, filled up with repeated photos.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from satchel.arrays import Ints

Rows = npt.NDArray[np.int64]


class Batches:
    """Batches of row numbers.

    Attributes:
        batch_size: rows of each batch.
        process, processes: this process takes batches process, process + processes, … of the
            epoch. Every process has equally many.
    """

    def __init__(self, *, batch_size: int, seed: int, process: int, processes: int) -> None:
        if batch_size < 1 or seed < 0:
            raise ValueError(
                f"expected a batch size from 1 and a seed from 0 up, got {batch_size} and {seed}"
            )
        if not 0 <= process < processes:
            raise ValueError(
                f"expected the number of a process from 0 to {processes - 1}, got {process}"
            )
        self.batch_size = batch_size
        self.seed = seed
        self.process = process
        self.processes = processes
        self._planned: tuple[int, Rows] | None = None

    def __len__(self) -> int:
        """Batches of an epoch for this process; the same in every epoch."""
        return len(self._plan_of(0)) // self.processes

    def batch(self, epoch: int, number: int) -> Rows:
        """The rows of this process's batch `number` (from 0) of `epoch`, shape (batch_size,)."""
        if not 0 <= number < len(self):
            raise ValueError(f"expected a batch from 0 to {len(self) - 1}, got {number}")
        rows: Rows = self._plan_of(epoch)[number * self.processes + self.process].copy()
        return rows

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Rows]:
        """The batches of an epoch in order, from number `start` on."""
        for number in range(start, len(self)):
            yield self.batch(epoch, number)

    def _plan_of(self, epoch: int) -> Rows:
        # The last epoch's plan is cached: it is needed for every batch, and slow to make.
        planned = self._planned  # read once: another thread may replace it
        if planned is None or planned[0] != epoch:
            planned = epoch, self._plan(np.random.default_rng([self.seed, epoch]))
            self._planned = planned
        return planned[1]

    def _plan(self, rng: np.random.Generator) -> Rows:
        """All processes' batches of one epoch, shape (batches, batch_size)."""
        raise NotImplementedError

    def _even(self, batches: int) -> int:
        """Round up to a multiple of the number of processes."""
        return -(-batches // self.processes) * self.processes


class ShuffledBatches(Batches):
    """All rows in random order; the last batches are filled up from the start of that order.

    Args:
        per_epoch: rows of an epoch, drawn anew for each; None: all.
    """

    def __init__(
        self,
        rows: int,
        *,
        batch_size: int,
        per_epoch: int | None = None,
        seed: int = 0,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, process=process, processes=processes)
        if rows < 1:
            raise ValueError(f"expected at least one row, got {rows}")
        self.rows = rows
        self._shown = min(rows, per_epoch or rows)
        self._count = self._even(-(-self._shown // batch_size))

    def __len__(self) -> int:
        return self._count // self.processes

    def _plan(self, rng: np.random.Generator) -> Rows:
        order = rng.permutation(self.rows)[: self._shown]
        plan: Rows = np.resize(order, (self._count, self.batch_size)).astype(np.int64)
        return plan


class ProductBatches(Batches):
    """P × K batches: `products` different products in a batch, `photos` of each.

    A product's photos are shuffled and divided into groups of `photos`; the last group is filled up
    with other photos of the product, and a product with fewer photos repeats them. The number of
    batches is what the groups need, or the number of groups of the largest product, since no
    product occurs twice in a batch; remaining places get further groups drawn at random.

    Args:
        labels: shape (n,), of any kind: the product of each row.
        products, photos: of each batch; P and K of Hermans et al., "In Defense of the Triplet
            Loss", 2017.

    Raises:
        ValueError: there are fewer products than a batch should hold.
    """

    def __init__(
        self,
        labels: npt.NDArray[Any],
        *,
        products: int,
        photos: int,
        seed: int = 0,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        super().__init__(
            batch_size=products * photos, seed=seed, process=process, processes=processes
        )
        self.products = products
        self.photos = photos
        _, self._product, self._counts = np.unique(labels, return_inverse=True, return_counts=True)
        if not 1 <= products <= len(self._counts):
            raise ValueError(
                f"expected from 1 to {len(self._counts)} products in a batch, got {products}"
            )
        self._groups = -(-self._counts // photos)
        self._first_group = np.cumsum(self._groups) - self._groups
        needed = max(-(-int(self._groups.sum()) // products), int(self._groups.max()))
        self._count = self._even(needed)

    def __len__(self) -> int:
        return self._count // self.processes

    def _plan(self, rng: np.random.Generator) -> Rows:
        members = self._shuffled(rng)
        groups = self._grouped(members)
        left = self._groups.copy()
        plan = np.empty((self._count, self.products, self.photos), np.int64)
        for number in range(self._count):
            chosen = self._choose(left, self._count - number, rng)
            has_left = left[chosen] > 0
            own = chosen[has_left]
            left[own] -= 1
            plan[number, has_left] = groups[self._first_group[own] + left[own]]
            for place in np.flatnonzero(~has_left):
                again = rng.permutation(members[chosen[place]])
                plan[number, place] = np.resize(again, self.photos)
        return plan.reshape(self._count, self.batch_size)

    def _shuffled(self, rng: np.random.Generator) -> list[Rows]:
        """The rows of each product, in random order."""
        order = rng.permutation(len(self._product))
        by_product = order[self._product[order].argsort(kind="stable")].astype(np.int64)
        return np.split(by_product, np.cumsum(self._counts)[:-1])

    def _grouped(self, members: list[Rows]) -> Rows:
        """All products' groups, shape (groups, photos), in the order of the products.

        The last group of a product is filled up with its first photos, so that no photo occurs
        twice in a group unless the product has too few.
        """
        full = [
            np.resize(rows, (groups, self.photos))
            for rows, groups in zip(members, self._groups, strict=True)
        ]
        return np.concatenate(full)

    def _choose(self, left: Ints, batches_left: int, rng: np.random.Generator) -> Ints:
        """Draw the products of the next batch.

        Products with as many groups left as there are batches are required; the others are drawn
        without replacement, weighted by their number of groups left (Efraimidis and Spirakis, 2006:
        the smallest of exponential variables with these rates); then any.
        """
        waiting = rng.exponential(size=len(left))
        keys = np.where(left > 0, waiting / np.maximum(left, 1), 1e9 + waiting)
        keys[left >= batches_left] = -1
        return np.argpartition(keys, self.products - 1)[: self.products].astype(np.int64)
