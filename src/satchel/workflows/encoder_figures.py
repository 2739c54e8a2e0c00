"""`satchel encoder compare` and `bench`: encoders on a workspace's own photos.

Every photo whose product has another one is a query, left out of the gallery that is searched; or
photos with known codes are, which is the better measure: photos of one shop resemble each other.
What is embedded for that is stored, and not embedded again when the encoder is promoted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from satchel.arrays import Bytes, Ints
from satchel.catalog.importers import RowSource
from satchel.catalog.rows import RowProblem
from satchel.encode.card import EncoderCard, read_card
from satchel.encode.embed import as_query
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.encode.registry import encoder_card
from satchel.errors import PhotoError, UsageError
from satchel.evaluate.offline import Query, rank_queries, stored_photos
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.images import crop, decode, read_photo
from satchel.intervals import Interval, interval
from satchel.parallel import cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import WHOLE_PHOTO, PhotoEmbedding
from satchel.served import load_locator, served_space
from satchel.workflows.embedding import embed_missing
from satchel.workflows.encoders import known_encoder
from satchel.workflows.fit import fit_space
from satchel.workspace import Workspace

MOST_QUERIES: Final = 1_000
"""Of a gallery's own photos; more are evenly sampled."""

FEWEST_QUERIES: Final = 10
TIMED_PHOTOS: Final = 12
ENCODED: Final = 3
"""How often each photo is timed; the least time counts, since other programs only add to it."""


@dataclass(frozen=True, slots=True)
class EncoderFigures:
    """How an encoder does on a workspace.

    Attributes:
        ranks: shape (queries,), of the right product; 0 where it is not among the first.
        first: shape (queries,): id of each query's first candidate.
        top: shares of queries whose product is among the first 1 and 5, each with its interval.
        ms_per_photo: of one forward pass of one photo, on all cores.
    """

    name: str
    card: EncoderCard
    bytes: int
    ranks: Ints
    first: Ints
    top: dict[int, Interval]
    ms_per_photo: float

    def agreement(self, other: EncoderFigures) -> float:
        """Share of queries whose first candidate is the same product."""
        return float((self.first == other.first).mean())


@dataclass(frozen=True, slots=True)
class _Gallery:
    """Photos that every encoder is measured on, and which of them are queries."""

    photos: list[str]
    products: list[int]
    codes: list[str]
    queries: list[int]


def measure_encoders(
    workspace: Workspace,
    names: Sequence[str],
    *,
    known: RowSource | None = None,
    progress: Progress = SILENT,
) -> list[EncoderFigures]:
    """Measure encoders on the same photos.

    Args:
        known: photos with their codes, as queries; None: the gallery's own.

    Raises:
        UsageError: there is no such encoder, or there are too few queries.
        EncoderError: an encoder is damaged.
    """
    found = [known_encoder(workspace, name) for name in names]
    gallery = _gallery(workspace)
    if known is None and len(gallery.queries) < FEWEST_QUERIES:
        raise UsageError(
            f"expected {FEWEST_QUERIES} photos or more of products with several, got "
            f"{len(gallery.queries)}: import more, or give photos with known codes with --known"
        )
    return [
        _measured(workspace, one.name, one.bytes, gallery=gallery, known=known, progress=progress)
        for one in found
    ]


def _gallery(workspace: Workspace) -> _Gallery:
    kept = workspace.catalogue.kept_photos(served_space(workspace).id)
    ids = workspace.catalogue.ids_of_codes()
    counts = Counter(one.code for one in kept)
    several = [at for at, one in enumerate(kept) if counts[one.code] > 1]
    if len(several) > MOST_QUERIES:
        rows = np.linspace(0, len(several) - 1, MOST_QUERIES).astype(int)
        several = [several[row] for row in rows.tolist()]
    return _Gallery(
        [one.sha256 for one in kept],
        [ids[one.code] for one in kept],
        [one.code for one in kept],
        several,
    )


def _measured(
    workspace: Workspace,
    name: str,
    size: int,
    *,
    gallery: _Gallery,
    known: RowSource | None,
    progress: Progress,
) -> EncoderFigures:
    path = encoder_card(workspace.models, name)
    card = read_card(path)
    embedder = Embedder(Encoder.load(path, threads=1), load_locator(workspace))
    problems = embed_missing(workspace, embedder, progress=progress)
    if problems:
        raise UsageError(
            f"{len(problems)} photos could not be embedded, the first: {problems[0]}; curate or "
            "remove them first"
        )
    space = fit_space(workspace, embedder.space, progress=progress)
    stored = stored_photos(workspace.catalogue, space, gallery.photos)
    offline = OfflineGallery(stored, gallery.products, encoder=space.id)
    if known is None:
        right = [gallery.products[at] for at in gallery.queries]
        queries = list(_own(offline, gallery.queries, card.n_passes))
    else:
        queries, right = _of_known(workspace, embedder, known, progress)
    progress.begin("rank", len(queries))
    searcher = offline.searcher(workspace.settings.search, space.fit)
    ranked = rank_queries(searcher, queries, progress=progress)
    ranks = ranked.ranks(right)
    top = {k: interval(((ranks > 0) & (ranks <= k)).astype(float), right) for k in (1, 5)}
    timed = _timed(workspace, path, gallery.photos[:TIMED_PHOTOS])
    return EncoderFigures(name, card, size, ranks, ranked.first, top, timed)


def _own(offline: OfflineGallery, rows: Sequence[int], n_passes: int) -> Iterator[Query]:
    """Photos of the gallery as queries, each left out of what it is searched in."""
    for at in rows:
        yield Query(as_query(offline.photo(at), n_passes), [int(offline.rows[at])])


def _of_known(
    workspace: Workspace, embedder: Embedder, known: RowSource, progress: Progress
) -> tuple[list[Query], list[int]]:
    """Photos with known codes as queries, and their products."""
    ids, limits = workspace.catalogue.ids_of_codes(), workspace.settings.photos.limits()
    rows = [one for one in known.rows() if not isinstance(one, RowProblem) and one.code in ids]

    def embedded(at: int) -> PhotoEmbedding | None:
        try:
            pixels = decode(read_photo(rows[at].photo, limits), limits=limits)
        except PhotoError:
            return None
        return embedder.embed([pixels])[0]

    progress.begin("embed", len(rows))
    queries, right = [], []
    for at, photo in enumerate(map_in_order(embedded, range(len(rows)), workers=cores())):
        progress.advance()
        if photo is not None:
            queries.append(Query(photo))
            right.append(ids[rows[at].code])
    if len(queries) < FEWEST_QUERIES:
        raise UsageError(
            f"expected {FEWEST_QUERIES} photos or more of products of the catalogue, got "
            f"{len(queries)} that are readable and whose code it has"
        )
    return queries, right


def _timed(workspace: Workspace, card: Path, photos: Sequence[str]) -> float:
    """Time of one pass of one photo on all cores, in ms; the median of these photos."""
    encoder = Encoder.load(card, threads=cores())
    side = encoder.card.input_side_px
    crops: list[Bytes] = [
        crop(decode(workspace.photos.read(sha256)), WHOLE_PHOTO, side)[None] for sha256 in photos
    ]
    encoder.encode(crops[0])  # the first pass takes memory
    return float(np.median([_least_ms(encoder, one) for one in crops]))


def _least_ms(encoder: Encoder, one: Bytes) -> float:
    times: list[float] = []
    for _ in range(ENCODED):
        began = time.perf_counter()
        encoder.encode(one)
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


HEADER: Final = ("encoder", "licence", "MB", "side", "ms per photo", "top-1", "top-5")


def cells(one: EncoderFigures) -> tuple[str, ...]:
    """An encoder's row of a table whose columns are `HEADER`."""
    return (
        one.name,
        one.card.licence,
        f"{one.bytes / 1e6:.0f}",
        str(one.card.input_side_px),
        f"{one.ms_per_photo:.1f}",
        *(_percent(one.top[k]) for k in (1, 5)),
    )


def markdown(figures: Sequence[EncoderFigures], missing: dict[str, str]) -> str:
    """A table in Markdown: one row for each encoder; a cell that was not measured says why.

    Args:
        missing: encoder → why it was not measured.
    """
    rows = [HEADER, ("---",) * 2 + ("---:",) * 5, *map(cells, figures)]
    for name, why in missing.items():
        rows.append((name, "", "", "", f"not measured: {why}", "", ""))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _percent(found: Interval) -> str:
    return f"{found.value:.1%} ({100 * found.low:.1f} to {100 * found.high:.1f})"
