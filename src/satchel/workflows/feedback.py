"""`satchel calibrate --feedback`: fit confidences on what people said of answers.

"This one" gives an item with a known product, "none of these" an item that is not in the catalogue.
Photos are not needed: their embeddings are ranked anew in the gallery of today.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from satchel.arrays import Ints
from satchel.catalog.feedback import Feedback
from satchel.confidence.figures import Measured
from satchel.confidence.fit import FEWEST_QUERIES
from satchel.confidence.outcomes import NOT_THERE
from satchel.confidence.stored import Calibration
from satchel.errors import IndexMissing, UsageError
from satchel.evaluate.offline import Query, rank_pairs
from satchel.identify import Identifier
from satchel.progress import Progress
from satchel.search.indexing import open_index
from satchel.served import load_embedder
from satchel.workflows.calibrate import fit_calibration
from satchel.workspace import Workspace

OTHER_ENCODER: Final = "embedded by another encoder or locator"
CHANGED: Final = "about products that the index no longer has, or that the filter leaves out"
OWN_PHOTO: Final = "with a photo that the catalogue has"
SUPERSEDED: Final = "said again later of the same photos"


@dataclass(slots=True)
class _Items:
    """Items to rank, and why others are left out."""

    queries: list[Query] = field(default_factory=list)
    rights: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def calibrate_on_feedback(
    workspace: Workspace, feedback: Iterable[Feedback], source: str, *, progress: Progress
) -> tuple[Calibration, Measured, Counter[str]]:
    """Fit the confidences of answers on feedback.

    Args:
        feedback: in the order in which it was given.
        source: name of it, for the record.
        progress: a stage of one step for each item.

    Returns:
        the calibration, its figures, and how much feedback was left out for which reason.

    Raises:
        UsageError: fewer than `FEWEST_QUERIES` items name a product in the index.
        IndexMissing: there is nothing to search.
    """
    embedder = load_embedder(workspace, threads=1)
    space = embedder.space
    index = open_index(workspace.catalogue, space, workspace.index_path, workspace.settings.search)
    identifier = Identifier.of(workspace, embedder, index)
    items = _items(workspace, identifier, feedback, space.card.patch_dimension)
    known = sum(right != NOT_THERE for right in items.rights)
    products = len(np.unique(index.gallery.products))
    if known < FEWEST_QUERIES or products < 2:
        aside = "; ".join(f"{count:,} {why}" for why, count in items.left_out.items())
        raise UsageError(
            f"expected {FEWEST_QUERIES} or more answers of which people said which product is "
            f"right, and an index of two or more products; got {known:,} and {products:,} "
            f"(left out: {aside or 'none'}); nothing was changed"
        )
    progress.begin("calibrate", len(items.queries))
    pairs = rank_pairs(identifier.searcher, items.queries, items.rights, progress=progress)
    usable = [pair for pair in pairs if pair.there and pair.without]
    items.left_out[CHANGED] += len(pairs) - len(usable)
    calibration, measured = fit_calibration(workspace, space, usable, source, products)
    return calibration, measured, +items.left_out


def _items(
    workspace: Workspace,
    identifier: Identifier,
    feedback: Iterable[Feedback],
    patch_dimension: int | None,
) -> _Items:
    items = _Items()
    ids = workspace.catalogue.ids_of_codes()
    indexed = set(identifier.searcher.index.gallery.products.tolist())
    last: dict[tuple[object, ...], Feedback] = {}
    for one in feedback:
        key = (tuple(photo.sha256 for photo in one.photos), str(one.where))
        items.left_out[SUPERSEDED] += key in last
        last[key] = one
    for one in last.values():
        right = NOT_THERE if one.code is None else ids.get(one.code)
        try:
            only = _only(identifier, one)
            compared = indexed if only is None else indexed.intersection(only.tolist())
            photos = [photo.embedding(patch_dimension) for photo in one.photos]
        except (UsageError, IndexMissing, ValueError):
            right, compared = None, set()
        if one.encoder != identifier.space.id:
            items.left_out[OTHER_ENCODER] += 1
        elif right is None or (right != NOT_THERE and right not in compared):
            items.left_out[CHANGED] += 1
        elif any(_is_own(workspace, photo.sha256) for photo in one.photos):
            items.left_out[OWN_PHOTO] += 1
        else:
            items.queries.append(Query(photos[0], only=only, further=photos[1:]))
            items.rights.append(right)
    return items


def _only(identifier: Identifier, feedback: Feedback) -> Ints | None:
    selection = identifier.select(feedback.where)
    return None if selection is None else selection.products


def _is_own(workspace: Workspace, sha256: str) -> bool:
    catalogue = workspace.catalogue
    return catalogue.photo_from(sha256) is not None or catalogue.has_photo(sha256)
