"""`satchel annotate suggest`: the photos whose boxes would teach a locator most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from satchel.annotate.suggest import UnlabelledPhoto, choose, teaching_value
from satchel.catalog.annotations import ProductOfPhoto
from satchel.decoding.decoder import Decoder
from satchel.decoding.pool import DecoderPool
from satchel.errors import CatalogueError, PhotoError
from satchel.locate.locator import Locator
from satchel.parallel import batched, cores, map_in_order
from satchel.photo_header import PhotoLimits
from satchel.progress import SILENT, Progress
from satchel.records import Problem
from satchel.workspace import Workspace

MAX_LOCATED: Final = 5_000
"""Photos that are located for a suggestion; of a larger catalogue, every second, third …"""

BATCH_PHOTOS: Final = 8
LOCATED_SIDE_PX: Final = 640
"""Least short side that photos are decoded to before they are located."""


def suggest_photos(
    workspace: Workspace,
    count: int,
    locator: Locator | None,
    *,
    on_problem: Callable[[Problem], None],
    progress: Progress = SILENT,
) -> list[UnlabelledPhoto]:
    """Choose photos of the catalogue whose boxes would teach a locator most.

    Args:
        locator: with one thread; None to spread the photos over products and categories alone.
        on_problem: called with each photo that cannot be read.
    """
    store = workspace.catalogue.annotations
    photos = store.unlabelled()
    photos = photos[:: max(1, -(-len(photos) // MAX_LOCATED))]
    if locator is None:
        candidates = [UnlabelledPhoto(*one) for one in photos]
    else:
        candidates = []
        progress.begin("locate", len(photos))
        for one in _all_located(workspace, locator, photos):
            if isinstance(one, Problem):
                on_problem(one)
            else:
                candidates.append(one)
            progress.advance()
    return choose(candidates, count, [(one.code, one.category) for one in store.labelled()])


def _all_located(
    workspace: Workspace, locator: Locator, photos: Iterable[ProductOfPhoto]
) -> Iterator[UnlabelledPhoto | Problem]:
    """Locate the goods in photos, decoded in workers."""
    limits = workspace.settings.photos.limits()
    with DecoderPool(memory_bytes=limits.max_decode_bytes) as decoder:
        locate = partial(_located, workspace, locator, decoder, limits)
        for batch in map_in_order(locate, batched(photos, BATCH_PHOTOS), workers=cores()):
            yield from batch


def _located(
    workspace: Workspace,
    locator: Locator,
    decoder: Decoder,
    limits: PhotoLimits,
    photos: Sequence[ProductOfPhoto],
) -> list[UnlabelledPhoto | Problem]:
    located: list[UnlabelledPhoto | Problem] = []
    pixels, readable = [], []
    for one in photos:
        try:
            data = workspace.photos.read(one.photo)
            pixels.append(decoder.decode(data, min_side_px=LOCATED_SIDE_PX, limits=limits))
            readable.append(one)
        except (CatalogueError, PhotoError) as error:
            located.append(Problem(f"photo {one.photo} of {one.code}", str(error)))
    for one, detections in zip(readable, locator.locate(pixels) if pixels else [], strict=True):
        value = teaching_value(detections)
        located.append(UnlabelledPhoto(*one, value, tuple(detections)))
    return located
