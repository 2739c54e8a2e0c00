"""`satchel collect --refill`: search again for products short of good photos, and curate."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from satchel.arrays import Floats
from satchel.collect.crawl import Crawled, Portion
from satchel.collect.hosts import Patience
from satchel.collect.learning import Lessons
from satchel.collect.preranking import Thumbnails, prerank
from satchel.collect.records import State
from satchel.collect.searches import SearchStore
from satchel.collect.searching import Searched
from satchel.collect.store import CandidateStore
from satchel.decoding.pool import DecoderPool
from satchel.encode.embedder import Embedder
from satchel.encode.fit import read_fit
from satchel.errors import CatalogueError, UsageError
from satchel.fetch.client import FetchClient
from satchel.progress import SILENT, Progress
from satchel.records import Product
from satchel.served import load_embedder
from satchel.workflows.collect import collect_photos
from satchel.workflows.collecting import collecting, fetch_rules, source_context
from satchel.workflows.curate import curate_catalogue
from satchel.workflows.photo_search import first_queries, search_photos
from satchel.workspace import Workspace

MOST_ROUNDS: Final = 5


@dataclass(slots=True)
class Refilled:
    """Result of a refill.

    Attributes:
        searched: what became of each source, of each round.
        rounds: searches again that were made now.
        received_bytes: of thumbnails and photos.
        short: products that still have too few photos, by code, with how many they have.
        stopped: host → why it was left until the next run.
        ended: why no further round was made.
    """

    rounds: int = 0
    new: int = 0
    received_bytes: int = 0
    searched: list[Searched] = field(default_factory=list)
    short: dict[str, int] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    ended: str = ""


def refill(
    workspace: Workspace,
    wanted: int,
    products: Sequence[Product],
    *,
    sources: Sequence[str] = (),
    ignore_robots_of: Collection[str] = (),
    embedder: Embedder | None = None,
    patience: Patience | None = None,
    progress: Progress = SILENT,
) -> Refilled:
    """Search, fetch and curate in turn until products have enough photos, or nothing new comes.

    Args:
        wanted: kept photos of each product.
        products: that are refilled.
        sources: to search at; default, all that were searched before.
        ignore_robots_of: sources that are searched although their robots.txt does not allow it.
        embedder: default, the served one.

    Raises:
        UsageError: nothing was searched before and no source is named; otherwise as
            `search_photos`.
        CatalogueError: there are no photos to curate.
        StorageError, WorkspaceError, DecoderError, EncoderError: see the steps.
    """
    embedder = embedder or load_embedder(workspace, threads=1)
    engine, catalogue = workspace.catalogue.engine, workspace.catalogue
    sources = sources or SearchStore(engine).sources()
    if not sources:
        raise UsageError(
            "expected --source NAME: nothing was searched so far that could be refined"
        )
    candidates, done = CandidateStore(engine), Refilled()
    codes = [one.code for one in products]
    first = dict(zip(codes, first_queries(workspace, products), strict=True))
    _curate(workspace, embedder, progress)
    for _ in range(MOST_ROUNDS):
        done.short = _short(workspace, wanted, products)
        if not done.short:
            done.ended = "all products have enough photos"
            return done
        number = max(1, SearchStore(engine).last_round()) + 1
        lessons = Lessons(candidates.fates(), first.values())
        queries = [
            lessons.refine(first[one.code], one, catalogue.brands)
            for one in products
            if one.code in done.short
        ]
        searched, _ = search_photos(
            workspace,
            sources,
            queries,
            number=number,
            deepest=lessons.deepest,
            ignore_robots_of=ignore_robots_of,
            progress=progress,
        )
        done.searched += searched
        done.rounds += 1
        missing = {code: wanted - kept for code, kept in done.short.items()}
        done.received_bytes += _prerank(
            workspace,
            embedder,
            missing,
            lessons,
            spent_bytes=done.received_bytes,
            patience=patience or Patience(),
            progress=progress,
        )
        stored = candidates.count(State.STORED)
        crawled = collect_photos(
            workspace,
            patience=patience,
            portion=Portion(spent_bytes=done.received_bytes),
            progress=progress,
        )
        done.new += candidates.count(State.STORED) - stored
        done.received_bytes += crawled.received_bytes
        done.stopped |= crawled.stopped
        if crawled.finished:
            _curate(workspace, embedder, progress)
        if ended := _end(searched, crawled):
            done.ended = ended
            break
    done.short = _short(workspace, wanted, products)
    done.ended = done.ended or f"{MOST_ROUNDS} rounds were made"
    return done


def _curate(workspace: Workspace, embedder: Embedder, progress: Progress) -> None:
    rules = workspace.settings.curate
    try:
        curate_catalogue(workspace, rules, embedder=embedder, progress=progress)
    except CatalogueError:  # no photo yet: all is short
        return


def _end(searched: Sequence[Searched], crawled: Crawled) -> str:
    """Say why no further round is of use; empty where one may be."""
    if crawled.ended or crawled.finished:
        return crawled.ended
    if crawled.stopped:
        return "the hosts of what was found were left"
    if all(one.stopped for one in searched):
        return "all sources were left"
    return "nothing new was found"


def _short(workspace: Workspace, wanted: int, products: Sequence[Product]) -> dict[str, int]:
    kept = workspace.catalogue.count_kept()
    return {one.code: kept.get(one.code, 0) for one in products if kept.get(one.code, 0) < wanted}


def _prerank(
    workspace: Workspace,
    embedder: Embedder,
    missing: dict[str, int],
    lessons: Lessons,
    *,
    spent_bytes: int,
    patience: Patience,
    progress: Progress,
) -> int:
    """Choose which candidates wait; return the bytes of the thumbnails that this took."""
    limits = workspace.settings.photos.limits()
    # Curation may just have measured it.
    embedder = replace(embedder, fit=read_fit(workspace.models, embedder.space.id))
    with (
        collecting(workspace) as headers,
        FetchClient(fetch_rules(workspace)) as client,
        DecoderPool(memory_bytes=limits.max_decode_bytes) as decoder,
    ):
        context = source_context(workspace, client, headers)
        most = workspace.settings.collect.max_mb * 1_000_000 - spent_bytes
        thumbnails = Thumbnails(context, decoder, limits, embedder, patience, most)
        prerank(
            missing,
            _vectors(workspace, embedder, missing.keys()),
            CandidateStore(workspace.catalogue.engine),
            thumbnails,
            lessons,
            progress=progress,
        )
    return thumbnails.received_bytes


def _vectors(workspace: Workspace, embedder: Embedder, codes: Collection[str]) -> dict[str, Floats]:
    """Return the vectors of the photos that are searched of these products, where they have any."""
    space, numbers = embedder.space, workspace.catalogue.ids_of_codes()
    gallery = workspace.catalogue.vectors.gallery(space.id, space.card.dimension)
    found = {}
    for code in numbers.keys() & codes:
        first, last = (  # the gallery is in the order of products
            int(np.searchsorted(gallery.products, numbers[code], side))
            for side in ("left", "right")
        )
        if first < last:
            found[code] = gallery.vectors[first:last]
    return found
