"""Which photos may be copies of each other, and what groups of copies they form.

Two nets are cast: perceptual hashes that differ in few bits (recompressed, resized), and near
embeddings (cropped, mirrored, framed). What they catch is only proposed: `satchel.curate.geometry`
confirms, and confirmed pairs become groups.

Hashes are compared exactly and without all pairs. If two hashes differ in at most T of 256 bits,
and the bits are dealt out to more than T / 2 chunks, some chunk differs in at most one bit. So for
every chunk and every one of its bits, hashes that agree in the rest of the chunk are brought
together by sorting, and only those are compared. Source: M. Norouzi, A. Punjani and D. Fleet, Fast
Exact Search in Hamming Space with Multi-Index Hashing (2014), section 3, as a join by sorting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import faiss
import numpy as np
import numpy.typing as npt

from satchel.curate.hashing import HASH_BITS, HASH_BYTES
from satchel.parallel import batched, cores, map_in_order

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

CROWD: Final = 4096
"""Hashes alike in one chunk above which they are told apart by further chunks before they are
compared all with all: about where sorting again becomes cheaper (estimated, decision 7)."""

_WIDE_BITS: Final = 22  # a chunk this wide tells a million apart without leaving a bit out
_DEPTH: Final = 2
_BLOCK: Final = 1 << 20  # pairs compared at a time: 64 MB


def near_pairs(
    hashes: npt.NDArray[np.uint8], max_distance: int, *, workers: int | None = None
) -> tuple[Ints, npt.NDArray[np.int16]]:
    """Find every pair of hashes that differ in at most `max_distance` bits, exactly.

    Besides the answer this needs memory in proportion to the hashes. The answer itself is
    quadratic where many hashes are alike: leave out what is not informative
    (`hash_is_informative`).

    Args:
        hashes: shape (n, 32), uint8.
        max_distance: in bits, in [0, 256).

    Returns:
        pairs, shape (m, 2), int64, rows i < j in ascending order; and their distances, shape
        (m,), int16.
    """
    search = _Search(_words(hashes), max_distance, labels=None)
    low = high = np.zeros(0, np.int64)
    for pairs in _searched(search, _chunks(np.arange(HASH_BITS), max_distance), workers):
        low, high = _once([(low, high), pairs], len(hashes))
    return np.stack((low, high), axis=1), _distances(search.words, low, high)


def group_hashes(
    hashes: npt.NDArray[np.uint8], max_distance: int, *, workers: int | None = None
) -> Ints:
    """Group hashes that are connected by steps of at most `max_distance` bits, exactly.

    The same groups as `connected` makes of `near_pairs`, without listing the pairs: a crowd of
    hashes that are already one group is not looked at again.

    Args:
        hashes: shape (n, 32), uint8.
        max_distance: in bits, in [0, 256).

    Returns:
        shape (n,), int64: for each hash, the lowest row of its group.
    """
    distinct, first, which = np.unique(
        _words(hashes).view(f"V{HASH_BYTES}").ravel(), return_index=True, return_inverse=True
    )
    words = distinct.view(np.uint64).reshape(-1, HASH_BYTES // 8)
    labels = np.arange(len(words))
    chunks = _chunks(np.arange(HASH_BITS), max_distance) if len(words) else []
    # What lies side by side first: a large group is then known as one before pairs are counted.
    for chunk in chunks:
        labels = join(labels, *_chained(_Search(words, max_distance, labels), chunk))
    for batch in batched(chunks, 2):
        search = _Search(words, max_distance, labels)
        for a, b in _searched(search, batch, workers):
            labels = join(labels, a, b)
    lowest = np.full(len(words), len(hashes), np.int64)
    np.minimum.at(lowest, labels, first)
    return lowest[labels][which]


def duplicate_candidates(
    vectors: npt.NDArray[np.float32], k: int, min_cosine: float, *, chunk: int = 1024
) -> Ints:
    """Pair each photo with its nearest others by embedding.

    Args:
        vectors: shape (n, d), float32, each of length 1.
        k: how many neighbours of each photo are taken, at most.
        min_cosine: in [-1, 1]; neighbours further off are left out.
        chunk: queries searched at a time, which bounds the memory.

    Returns:
        pairs, shape (m, 2), int64, rows i < j, each once, in ascending order.
    """
    n = len(vectors)
    found = np.zeros(0, np.int64)
    gallery = np.ascontiguousarray(vectors)
    for start in range(0, n, chunk):
        cosines, rows = faiss.knn(
            gallery[start : start + chunk], gallery, min(k + 1, n), faiss.METRIC_INNER_PRODUCT
        )
        own = np.broadcast_to(np.arange(start, start + len(rows))[:, None], rows.shape)
        near = (cosines >= min_cosine) & (rows != own)
        codes = np.minimum(rows, own)[near] * n + np.maximum(rows, own)[near]
        found = np.union1d(found, codes)
    return np.stack(np.divmod(found, max(1, n)), axis=1)


# -- groups ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Groups:
    """Photos by group of copies.

    Attributes:
        labels: shape (n,), int64: for each photo, the lowest row of its group.
    """

    labels: Ints

    @classmethod
    def connected(cls, n: int, pairs: Ints) -> Groups:
        """Group `n` photos by confirmed pairs, shape (m, 2), int64."""
        return cls(join(np.arange(n), pairs[:, 0], pairs[:, 1]))

    def members(self) -> list[Ints]:
        """Return the rows of every group of two or more; ascending, int64."""
        order = np.argsort(self.labels, kind="stable")
        starts = np.flatnonzero(np.diff(self.labels[order])) + 1
        return [rows for rows in np.split(order, starts) if len(rows) > 1]


def join(labels: Ints, a: Ints, b: Ints) -> Ints:
    """Merge the groups of rows `a` with those of rows `b`.

    Args:
        labels: shape (n,), int64: the lowest row of each row's group.
        a, b: shape (m,), int64.

    Returns:
        new labels, as `labels`.
    """
    labels = labels.copy()
    while len(a):
        low, high = np.minimum(labels[a], labels[b]), np.maximum(labels[a], labels[b])
        apart = low < high
        a, b = a[apart], b[apart]
        np.minimum.at(labels, high[apart], low[apart])
        while (labels != (higher := labels[labels])).any():
            labels = higher
    return labels


def best_of(pixels: Sequence[int], file_bytes: Sequence[int]) -> int:
    """Return which photo of a group to keep: of the most pixels, then the largest file.

    Copies lose pixels and are recompressed; the original has most of both. Of equals the first.

    Args:
        pixels: width × height of each.
        file_bytes: size of each file as it was received.

    Raises:
        ValueError: the group is empty, or the two differ in length.
    """
    sizes = list(zip(pixels, file_bytes, strict=True))
    return sizes.index(max(sizes))


# -- the join by sorting -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Bits that near hashes agree in, all or all but one; the others tell crowds apart."""

    bits: Ints
    others: Ints
    all_but_one: bool


@dataclass(frozen=True, slots=True)
class _Search:
    """What is looked for: pairs of `words`, shape (n, 4), within `max_distance` bits.

    `labels`, shape (n,), int64, are groups known already: pairs within one are not wanted.
    """

    words: Words
    max_distance: int
    labels: Ints | None


def _chunks(bits: Ints, max_distance: int) -> list[_Chunk]:
    """Deal bits to chunks, in one of which any two hashes within `max_distance` agree.

    They are dealt one by one, so that neighbouring frequencies, which go together, part.
    """
    all_but_one = len(bits) // (max_distance + 1) < _WIDE_BITS
    count = max_distance // 2 + 1 if all_but_one else max_distance + 1
    dealt = [bits[at::count] for at in range(count)]
    return [_Chunk(own, np.setdiff1d(bits, own), all_but_one) for own in dealt]


def _searched(
    search: _Search, chunks: Sequence[_Chunk], workers: int | None
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the near pairs of each chunk, a pair once or more often."""
    rows = np.arange(len(search.words))

    def work(chunk: _Chunk) -> tuple[Ints, Ints]:
        return _once(list(_near(search, rows, chunk, depth=1)), len(rows))

    return map_in_order(work, chunks, workers=workers or cores(), ahead=1)


def _near(search: _Search, rows: Ints, chunk: _Chunk, depth: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield near pairs among `rows` that agree in the chunk."""
    for order, starts in _sortings(search.words, rows, chunk):
        lengths = np.diff(np.append(starts, len(order)))
        wanted = lengths > 1
        if search.labels is not None:
            roots = search.labels[order]
            wanted &= np.minimum.reduceat(roots, starts) < np.maximum.reduceat(roots, starts)
        crowded = wanted & (lengths > CROWD) if depth < _DEPTH else np.zeros_like(wanted)
        for run in np.flatnonzero(crowded):
            crowd = order[starts[run] : starts[run] + lengths[run]]
            for further in _chunks(chunk.others, search.max_distance):
                yield from _near(search, crowd, further, depth + 1)
        plain = wanted & ~crowded
        yield from _within(search, order, starts[plain], lengths[plain])


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


def _within(
    search: _Search, order: Ints, starts: Ints, lengths: Ints
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the near pairs of each run: each row with its successor, the next and so on."""
    end = np.repeat(starts + lengths, lengths)
    at = end - _countdown(lengths)
    for step in range(1, int(lengths.max(initial=1))):
        going = at + step < end
        at, end = at[going], end[going]
        for block in range(0, len(at), _BLOCK):
            here = at[block : block + _BLOCK]
            yield _kept(search, order[here], order[here + step])


def _kept(search: _Search, a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """Those of the pairs that are wanted and near."""
    if search.labels is not None:
        apart = search.labels[a] != search.labels[b]
        a, b = a[apart], b[apart]
    near = _distances(search.words, a, b) <= search.max_distance
    return a[near], b[near]


def _countdown(lengths: Ints) -> Ints:
    """For each run n, n - 1, … 1; shape (sum of lengths,), int64."""
    ends = np.cumsum(lengths)
    return np.repeat(ends, lengths) - np.arange(ends[-1] if len(ends) else 0)


def _chained(search: _Search, chunk: _Chunk) -> tuple[Ints, Ints]:
    """Near pairs among those next to each other in the order of the chunk."""
    whole = _Chunk(chunk.bits, chunk.others, all_but_one=False)
    order, _ = next(_sortings(search.words, np.arange(len(search.words)), whole))
    return _kept(search, order[:-1], order[1:])


def _once(pairs: Sequence[tuple[Ints, Ints]], n: int) -> tuple[Ints, Ints]:
    """Join blocks of pairs of `n` rows, every pair once, the lower row first."""
    codes = [np.minimum(a, b) * n + np.maximum(a, b) for a, b in pairs]
    distinct = np.unique(np.concatenate([np.zeros(0, np.int64), *codes]))
    low, high = np.divmod(distinct, max(1, n))
    return low, high


def _words(hashes: npt.NDArray[np.uint8]) -> Words:
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
