"""Exact near-duplicate search over perceptual hashes: all pairs within a Hamming distance.

If two hashes differ in at most T of 256 bits, and the bits are dealt to more than T / 2 chunks,
some chunk differs in at most one bit. So for every chunk and every one of its bits, hashes that
agree in the rest of the chunk are brought together by sorting, and only those are compared. Source:
M. Norouzi, A. Punjani and D. Fleet, Fast Exact Search in Hamming Space with Multi-Index Hashing
(2014), section 3, as a join by sorting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from satchel.arrays import Bytes, Ints
from satchel.curate.hashing import HASH_BITS, HASH_BYTES
from satchel.parallel import cores, map_in_order

Words = npt.NDArray[np.uint64]

CROWD: Final = 4096
"""Hashes equal in one chunk above which further chunks separate them before they are compared all
with all: about where sorting again becomes cheaper (estimated, decision 7)."""

_WIDE_BITS: Final = 22  # a chunk this wide separates a million hashes without leaving a bit out
_DEPTH: Final = 2
_BLOCK: Final = 1 << 20  # pairs compared at a time: 64 MB


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Bits in which near hashes agree, all or all but one; the others separate crowds."""

    bits: Ints
    others: Ints
    all_but_one: bool


def near_pairs(
    hashes: Bytes, max_distance: int, *, workers: int | None = None
) -> tuple[Ints, npt.NDArray[np.int16]]:
    """Find every pair of hashes that differ in at most `max_distance` bits, exactly.

    Memory is proportional to the hashes and to the answer. The answer is quadratic where many
    hashes are similar: leave out those that are not `informative` (`PerceptualHash`).

    Args:
        hashes: shape (n, 32), uint8.
        max_distance: in bits, in [0, 256).

    Returns:
        pairs, shape (m, 2), int64, rows i < j in ascending order; and their distances, shape
        (m,), int16.
    """
    words = _words(hashes)
    rows = np.arange(len(words))

    def search(chunk: _Chunk) -> tuple[Ints, Ints]:
        return _unique(list(_near(words, max_distance, rows, chunk, depth=1)), len(rows))

    chunks = _chunks(np.arange(HASH_BITS), max_distance)
    low = high = np.zeros(0, np.int64)
    for pairs in map_in_order(search, chunks, workers=workers or cores(), ahead=1):
        low, high = _unique([(low, high), pairs], len(hashes))
    return np.stack((low, high), axis=1), _distances(words, low, high)


def _chunks(bits: Ints, max_distance: int) -> list[_Chunk]:
    """Deal bits to chunks, in one of which any two hashes within `max_distance` agree.

    They are dealt one by one, so that neighbouring frequencies, which are correlated, separate.
    """
    all_but_one = len(bits) // (max_distance + 1) < _WIDE_BITS
    count = max_distance // 2 + 1 if all_but_one else max_distance + 1
    dealt = [bits[at::count] for at in range(count)]
    return [_Chunk(own, np.setdiff1d(bits, own), all_but_one) for own in dealt]


def _near(
    words: Words, max_distance: int, rows: Ints, chunk: _Chunk, depth: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield near pairs among `rows` that agree in the chunk, a pair once or more often."""
    for order, starts in _sortings(words, rows, chunk):
        lengths = np.diff(np.append(starts, len(order)))
        crowded = lengths > CROWD if depth < _DEPTH else np.zeros(len(lengths), bool)
        for run in np.flatnonzero(crowded):
            crowd = order[starts[run] : starts[run] + lengths[run]]
            for further in _chunks(chunk.others, max_distance):
                yield from _near(words, max_distance, crowd, further, depth + 1)
        plain = (lengths > 1) & ~crowded
        for a, b in _within(order, starts[plain], lengths[plain]):
            near = _distances(words, a, b) <= max_distance
            yield a[near], b[near]


def _sortings(words: Words, rows: Ints, chunk: _Chunk) -> Iterator[tuple[Ints, Ints]]:
    """Yield `rows` sorted by the chunk, and where each run of equal ones starts.

    Where all but one bit must agree, once for each bit left out. Bits and place are packed into
    one number: sorting numbers is several times faster than sorting an order. Bits that find no
    room are left out, which brings more together, never less.
    """
    if not len(rows):
        return
    place_bits = len(rows).bit_length()
    bits = chunk.bits[: 64 - place_bits]
    places = np.uint64((1 << place_bits) - 1)
    packed = _key(words, rows, bits) << np.uint64(place_bits)
    packed |= np.arange(len(rows), dtype=np.uint64)
    for left_out in range(max(1, len(bits)) if chunk.all_but_one else 1):
        gap = (1 << place_bits + left_out) if chunk.all_but_one and len(bits) else 0
        ordered = packed & np.uint64(~gap & (2**64 - 1))
        ordered.sort()
        order = (ordered & places).astype(np.int64)
        ordered >>= np.uint64(place_bits)
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        yield rows[order], starts


def _key(words: Words, rows: Ints, bits: Ints) -> Words:
    key: Words = np.zeros(len(rows), np.uint64)
    chosen = words if len(rows) == len(words) else words[rows]
    for bit in bits:
        key <<= np.uint64(1)
        key |= (chosen[:, bit // 64] >> np.uint64(bit % 64)) & np.uint64(1)
    return key


def _within(order: Ints, starts: Ints, lengths: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs of each run, in blocks: each row with its successor, the next and so on."""
    end = np.repeat(starts + lengths, lengths)
    at = end - _countdown(lengths)
    for step in range(1, int(lengths.max(initial=1))):
        going = at + step < end
        at, end = at[going], end[going]
        for block in range(0, len(at), _BLOCK):
            here = at[block : block + _BLOCK]
            yield order[here], order[here + step]


def _countdown(lengths: Ints) -> Ints:
    """For each run n, n - 1, … 1; shape (sum of lengths,), int64."""
    ends = np.cumsum(lengths)
    return np.repeat(ends, lengths) - np.arange(ends[-1] if len(ends) else 0)


def _unique(pairs: Sequence[tuple[Ints, Ints]], n: int) -> tuple[Ints, Ints]:
    """Join blocks of pairs of `n` rows, every pair once, the lower row first."""
    codes = [np.minimum(a, b) * n + np.maximum(a, b) for a, b in pairs]
    distinct = np.unique(np.concatenate([np.zeros(0, np.int64), *codes]))
    low, high = np.divmod(distinct, max(1, n))
    return low, high


def _words(hashes: Bytes) -> Words:
    """Shape (n, 4), uint64."""
    if hashes.ndim != 2 or hashes.shape[1] != HASH_BYTES or hashes.dtype != np.uint8:
        raise ValueError(
            f"expected hashes of shape (n, {HASH_BYTES}), uint8, got {hashes.shape}, {hashes.dtype}"
        )
    return np.ascontiguousarray(hashes).view(np.uint64)


def _distances(words: Words, a: Ints, b: Ints) -> npt.NDArray[np.int16]:
    """Bits in which rows `a` and `b` differ; shape (m,), int16."""
    total = np.zeros(len(a), np.int16)
    for word in range(words.shape[1]):
        column = words[:, word]
        total += np.bitwise_count(column[a] ^ column[b])
    return total
