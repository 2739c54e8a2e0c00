"""`satchel curate`: measure what is new, compare what may be copies, decide, write the states.

Measuring and comparing are the work; both are kept as they go, so that a run that was killed goes
on, and a later run looks at new photos alone. Deciding takes all photos and no pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from satchel.catalog.curation import CurationStore, GalleryPhotos, MeasuredPhoto, Pair
from satchel.catalog.photos import PhotoStore
from satchel.curate.content import FaceFinder, look
from satchel.curate.decide import decide
from satchel.curate.duplicates import duplicate_candidates
from satchel.curate.geometry import Comparison, PictureFeatures, compare, describe
from satchel.curate.hash_pairs import near_pairs
from satchel.curate.hashing import perceptual_hash, pixel_digest
from satchel.curate.integrity import measure
from satchel.curate.rules import CurationRules
from satchel.curate.summary import CurationSummary, summarise
from satchel.errors import CatalogueError, PhotoError
from satchel.images import decode
from satchel.parallel import batched, cores, map_in_order

COMMIT_PHOTOS: Final = 128
COMMIT_PAIRS: Final = 256
FEATURES_HELD: Final = 1_000
"""Pictures whose keypoints are kept at hand while pairs are compared: about 300 MB. Twice as many
spare a seventh of the decoding (19,186 pairs of 4,620 photos)."""


def measure_photos(
    curation: CurationStore,
    store: PhotoStore,
    *,
    on_progress: Callable[[int], None],
    on_problem: Callable[[str, str], None],
) -> None:
    """Measure every photo that has no figures yet.

    Args:
        on_progress: called with the number of photos done since the last call.
        on_problem: called with SHA-256 and reason for a stored photo that cannot be read.
    """
    faces = FaceFinder.load()

    def work(photo: tuple[int, str, int, int]) -> MeasuredPhoto | tuple[str, str]:
        photo_id, sha256, width, height = photo
        try:
            pixels = decode(store.read(sha256))
        except (PhotoError, CatalogueError) as error:
            return sha256, str(error)
        hashed = perceptual_hash(pixels)
        return MeasuredPhoto(
            photo_id,
            pixel_digest(pixels),
            hashed.bits.tobytes(),
            hashed.informative,
            asdict(measure(pixels, width=width, height=height)),
            asdict(look(pixels, faces)),
        )

    done = map_in_order(work, curation.unmeasured(), workers=cores(), ahead=8)
    for batch in batched(done, COMMIT_PHOTOS):
        curation.put_figures(photo for photo in batch if isinstance(photo, MeasuredPhoto))
        for photo in batch:
            if not isinstance(photo, MeasuredPhoto):
                on_problem(*photo)
        on_progress(len(batch))


def pairs_to_compare(
    photos: GalleryPhotos, rules: CurationRules, compared: Mapping[Pair, Comparison]
) -> list[Pair]:
    """Pairs of different photos that may be one picture, and what is kept does not tell.

    Near by hash, or neighbours by embedding; pictures of equal pixels need no comparing. Pairs of
    one product follow each other.
    """
    telling = np.flatnonzero(photos.informative)
    by_hash, _ = near_pairs(photos.hashes[telling], rules.duplicates.max_hash_distance)
    by_vector = duplicate_candidates(
        photos.vectors, rules.duplicates.neighbours, rules.duplicates.min_cosine
    )
    rows = np.concatenate([telling[by_hash], by_vector])
    digest = dict(zip(photos.sha256, photos.digests, strict=True))

    def open_question(pair: Pair) -> bool:
        known = compared.get(pair)
        different = digest[pair[0]] != digest[pair[1]]
        return different and (known is None or known.same(rules.duplicates) is None)

    # Product by product, as the rows are: what is known of a photo is then still at hand.
    in_order = np.unique(np.sort(rows, axis=1), axis=0).tolist()
    pairs = dict.fromkeys(_pair(photos.sha256[a], photos.sha256[b]) for a, b in in_order)
    return [pair for pair in pairs if open_question(pair)]


def compare_pairs(
    curation: CurationStore,
    store: PhotoStore,
    pairs: Sequence[Pair],
    rules: CurationRules,
    *,
    on_progress: Callable[[int], None],
) -> None:
    """Compare pairs of photos by their pixels and keep what it shows."""

    @lru_cache(FEATURES_HELD)
    def features(sha256: str) -> PictureFeatures:
        return describe(decode(store.read(sha256)))

    def work(pair: Pair) -> tuple[Pair, dict[str, Any]]:
        return pair, compare(features(pair[0]), features(pair[1]), rules.duplicates).as_json()

    done = map_in_order(work, pairs, workers=cores(), ahead=8)
    for batch in batched(done, COMMIT_PAIRS):
        curation.put_pairs(batch)
        on_progress(len(batch))


def compared_pairs(curation: CurationStore) -> dict[Pair, Comparison]:
    """What earlier comparisons showed, by pair."""
    return {pair: Comparison.from_json(kept) for pair, kept in curation.compared_pairs().items()}


def confirmed_copies(
    photos: GalleryPhotos, compared: Mapping[Pair, Comparison], rules: CurationRules
) -> npt.NDArray[np.int64]:
    """Rows that are one picture: of equal pixels, or compared and found so; shape (m, 2)."""
    first_by_digest: dict[bytes, int] = {}
    first_by_name: dict[str, int] = {}
    found = []
    for row, (digest, name) in enumerate(zip(photos.digests, photos.sha256, strict=True)):
        found.append((first_by_digest.setdefault(digest, row), row))
        first_by_name.setdefault(name, row)
    found += [
        (first_by_name[a], first_by_name[b])
        for (a, b), comparison in compared.items()
        if a in first_by_name and b in first_by_name and comparison.same(rules.duplicates)
    ]
    pairs: npt.NDArray[np.int64] = np.array(found, np.int64).reshape(-1, 2)
    different: npt.NDArray[np.int64] = pairs[pairs[:, 0] != pairs[:, 1]]
    return different


def decide_all(
    curation: CurationStore, photos: GalleryPhotos, rules: CurationRules
) -> CurationSummary:
    """Decide on every photo and write states and reasons, all at once."""
    copies = confirmed_copies(photos, compared_pairs(curation), rules)
    states = decide(photos, copies, rules)
    changed = curation.set_states(
        (link, state.state.value, state.reasons)
        for link, state in zip(photos.link_ids, states, strict=True)
    )
    return summarise(photos, states, rules, changed, curation.photo_counts())


def _pair(a: str, b: str) -> Pair:
    return (a, b) if a <= b else (b, a)
