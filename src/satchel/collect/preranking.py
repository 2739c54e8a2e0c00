"""Pre-ranking: which candidates of a product are fetched first, by the likeness of thumbnails.

A thumbnail has a hundredth of a photo's bytes. Its embedding is compared with those of the photos
that the product has: what resembles none of them is most likely garbage, and what equals one of
them brings nothing new.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import httpx2
import numpy as np

from satchel.arrays import Floats
from satchel.collect.fetching import Kind, fetch
from satchel.collect.hosts import HostQueue, Patience
from satchel.collect.learning import Lessons
from satchel.collect.recording import host_of
from satchel.collect.records import Spare
from satchel.collect.sources import SourceContext
from satchel.collect.store import CandidateStore
from satchel.decoding.decoder import Decoder
from satchel.encode.embedder import Embedder
from satchel.encode.fit import to_standard
from satchel.errors import PhotoError
from satchel.parallel import batched
from satchel.photo_header import PhotoLimits
from satchel.progress import SILENT, Progress

NEAREST: Final = 3
"""Photos of the product whose mean cosine is a candidate's score."""
COPY: Final = 0.995
"""Standard cosine from which on a thumbnail is taken for one of the photos that the product has."""
OVERSHOOT: Final = 1.5
"""Candidates that are fetched for each photo that is missing: some will not stay."""
LEAST: Final = 3
SCORES_AT_ONCE: Final = 20
"""Scores that are written together: a kill loses no more."""
IDLE_S: Final = 0.02


@dataclass(slots=True)
class Thumbnails:
    """How thumbnails are fetched and embedded.

    Attributes:
        most_bytes: that are fetched, at most; what is beyond has no score.
        received_bytes: so far.
    """

    context: SourceContext
    decoder: Decoder
    limits: PhotoLimits
    embedder: Embedder
    patience: Patience
    most_bytes: int
    received_bytes: int = 0

    def embed(
        self, spares: Sequence[Spare], progress: Progress = SILENT
    ) -> Iterator[tuple[Spare, Floats]]:
        """Fetch and embed thumbnails, as their sites permit and at their pace.

        Yields:
            candidates and their vectors; those whose thumbnail cannot be had are left out.
        """
        hosts = self._queues(spares)
        while hosts and self.received_bytes < self.most_bytes:
            asked = False
            for host in tuple(hosts):
                one = host.take(time.monotonic())
                if one is not None:
                    asked = True
                    vector = self._fetch(replace(one, attempts=one.attempts + 1), host)
                    progress.advance()
                    if vector is not None:
                        yield one, vector
                elif host.done:
                    hosts.remove(host)
            if not asked:
                time.sleep(IDLE_S)

    def _queues(self, spares: Sequence[Spare]) -> list[HostQueue[Spare]]:
        by_host: dict[str, list[Spare]] = defaultdict(list)
        for one in spares:
            if one.thumbnail:
                by_host[host_of(httpx2.URL(one.thumbnail))].append(replace(one, attempts=0))
        return [
            HostQueue(
                lambda after, listed=listed: [one for one in listed if one.id > after],  # type: ignore[misc]
                delay_s=self.context.rules.delay_s,
                at_once=1,
                patience=self.patience,
            )
            for listed in by_host.values()
        ]

    def _fetch(self, one: Spare, host: HostQueue[Spare]) -> Floats | None:
        assert one.thumbnail is not None
        context = self.context
        outcome = fetch(one.thumbnail, context.client, context.permissions, context.headers)
        self.received_bytes += len(outcome.body)
        if not host.finish(one, outcome, time.monotonic()) or outcome.kind is not Kind.PHOTO:
            return None
        try:
            pixels = self.decoder.decode(outcome.body, min_side_px=None, limits=self.limits)
        except PhotoError:
            return None
        return self.embedder.embed([pixels], gallery=True)[0].vector


def likeness(vector: Floats, own: Floats, scale: float = 1.0) -> float:
    """Return a candidate's score: its mean standard cosine to the nearest photos of the product.

    One that equals a photo that the product has scores -1: it would bring a copy.

    Args:
        vector: shape (d,), of length 1.
        own: shape (n, d), n > 0, of the product's photos.
        scale: how many times the built-in encoder's distances theirs are.
    """
    cosines = np.sort(to_standard(own @ vector, scale))[::-1]
    return -1.0 if cosines[0] >= COPY else float(cosines[:NEAREST].mean())


def choose(spares: Sequence[Spare], missing: int, lessons: Lessons) -> list[Spare]:
    """Return the candidates that are fetched now, the most promising first.

    Those without a score stand where the middle one of the others does; among equals the rank
    decides that has fared best.

    Args:
        spares: of one product, not fetched yet.
        missing: photos that the product needs.
    """
    known = [one.score for one in spares if one.score is not None]
    middle = median(known) if known else 0.0

    def promise(one: Spare) -> tuple[float, float, int]:
        score = middle if one.score is None else one.score
        return -score, -lessons.rank(one.source, one.rank).likely, one.rank or 0

    return sorted(spares, key=promise)[: max(LEAST, math.ceil(OVERSHOOT * missing))]


def prerank(
    missing: Mapping[str, int],
    own: Mapping[str, Floats],
    candidates: CandidateStore,
    thumbnails: Thumbnails,
    lessons: Lessons,
    *,
    progress: Progress = SILENT,
) -> int:
    """Score the candidates of products, let the best of each wait, and make the others spare.

    Args:
        missing: code → photos that the product needs.
        own: code → vectors of the photos that it has, shape (n, d); products without any are not
            scored.

    Returns:
        how many wait now.
    """
    spares = [one for code in missing for one in candidates.spares(code)]
    unscored = [one for one in spares if one.code in own and one.score is None]
    progress.begin("rank", sum(one.thumbnail is not None for one in unscored))
    scale = thumbnails.embedder.fit.distance
    for some in batched(thumbnails.embed(unscored, progress), SCORES_AT_ONCE):
        candidates.set_scores(
            {one.id: likeness(vector, own[one.code], scale) for one, vector in some}
        )
    waiting = 0
    for code, wanted in missing.items():
        scored = candidates.spares(code)
        chosen = {one.id for one in choose(scored, wanted, lessons)}
        candidates.choose(scored, chosen)
        waiting += len(chosen)
    return waiting
