"""Copies among the gallery's photos: which pairs to compare, and which are confirmed.

Comparing is the work. Results are stored as they come, so that an interrupted run resumes, and a
later run compares new photos alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from satchel.catalog.curation import CurationStore, GalleryPhotos, Pair
from satchel.catalog.photos import PhotoStore
from satchel.curate.duplicates import duplicate_candidates
from satchel.curate.geometry import Comparison, PictureFeatures, compare, describe
from satchel.curate.hash_pairs import near_pairs
from satchel.curate.orientation import AS_IT_IS, Way
from satchel.curate.rules import DuplicateThresholds
from satchel.encode.fit import from_standard
from satchel.images import decode
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress

COMMIT_PAIRS: Final = 256
CACHED_FEATURES: Final = 1_000
"""Photos whose keypoints are cached while pairs are compared: about 300 MB. Twice as many
spare a seventh of the decoding (19,186 pairs of 4,620 photos)."""


def pairs_to_compare(
    photos: GalleryPhotos,
    rules: DuplicateThresholds,
    compared: Mapping[Pair, Comparison],
    *,
    scale: float = 1.0,
) -> list[Pair]:
    """Return pairs of different photos that may be copies and were not compared yet.

    Near by perceptual hash, or neighbours by embedding; photos of equal pixels need no comparison.
    Pairs of one product follow each other.

    Args:
        scale: how many times the built-in encoder's distances those of the vectors are.
    """
    informative = np.flatnonzero(photos.informative)
    by_hash, _ = near_pairs(photos.hashes[informative], rules.max_hash_distance)
    least = from_standard(rules.min_cosine, scale)
    by_vector = duplicate_candidates(photos.vectors, rules.neighbours, least)
    rows = np.concatenate([informative[by_hash], by_vector])
    digest = dict(zip(photos.sha256, photos.digests, strict=True))

    def is_open(pair: Pair) -> bool:
        known = compared.get(pair)
        different = digest[pair[0]] != digest[pair[1]]
        return different and (known is None or known.same(rules) is None)

    # Product by product, as the rows are: the features of a photo are then still cached.
    in_order = np.unique(np.sort(rows, axis=1), axis=0).tolist()
    pairs = dict.fromkeys(_pair(photos.sha256[a], photos.sha256[b]) for a, b in in_order)
    return [pair for pair in pairs if is_open(pair)]


def compare_pairs(
    curation: CurationStore,
    store: PhotoStore,
    pairs: Sequence[Pair],
    rules: DuplicateThresholds,
    *,
    progress: Progress = SILENT,
) -> None:
    """Compare pairs of photos by their pixels and store the results."""

    @lru_cache(CACHED_FEATURES)
    def features(sha256: str) -> PictureFeatures:
        return describe(decode(store.read(sha256)))

    def work(pair: Pair) -> tuple[Pair, dict[str, Any]]:
        return pair, compare(features(pair[0]), features(pair[1]), rules).as_json()

    progress.begin("compare", len(pairs))
    done = map_in_order(work, pairs, workers=cores(), ahead=8)
    for batch in batched(done, COMMIT_PAIRS):
        curation.put_pairs(batch)
        progress.advance(len(batch))


def compared_pairs(curation: CurationStore) -> dict[Pair, Comparison]:
    """Return the results of all earlier comparisons, by pair."""
    return {pair: Comparison.from_json(kept) for pair, kept in curation.compared_pairs().items()}


def confirmed_copies(
    photos: GalleryPhotos, compared: Mapping[Pair, Comparison], rules: DuplicateThresholds
) -> dict[tuple[int, int], Way]:
    """Return rows that are copies, of equal pixels or confirmed by comparison: see `Copies`."""
    first_by_digest: dict[bytes, int] = {}
    first_by_name: dict[str, int] = {}
    found = {}
    for row, (digest, name) in enumerate(zip(photos.digests, photos.sha256, strict=True)):
        first = first_by_digest.setdefault(digest, row)
        if first != row:
            found[first, row] = AS_IT_IS
        first_by_name.setdefault(name, row)
    for (a, b), comparison in compared.items():
        overlay = comparison.fitting(rules)
        if overlay is not None and a in first_by_name and b in first_by_name:
            way = Way(overlay.turn, overlay.flipped)
            found[first_by_name[a], first_by_name[b]] = way
    return found


def _pair(a: str, b: str) -> Pair:
    return (a, b) if a <= b else (b, a)
