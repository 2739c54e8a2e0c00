"""Thresholds of one encoder, measured for others: wrong photos and scores, before and after.

    python -m benchmarks.fit

Galleries of `benchmarks.garbage`, with 9 right photos of each product at most and classified by
vectors alone, for the built-in encoder, for `lite0`, and for the built-in one with a common part
added to all vectors, so that its cosines are 0.9 and more. *Stated*: thresholds as they are stated
for the built-in encoder; *measured*: by what `satchel.workflows.fit` measures; *own*: the weights
that were fitted to `lite0` (decision 8). Scores: each right photo, left out, among the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.accuracy import embedded, shipped
from benchmarks.garbage import KINDS, RIGHT, Gallery, grocery, luma
from benchmarks.reporting import print_table, write_json
from satchel.curate.garbage import classify
from satchel.curate.rules import GarbageRules
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.embed import as_query
from satchel.encode.fit import NOT_MEASURED, EncoderFit
from satchel.encode.registry import BUILTINS
from satchel.evaluate.offline import Query, RankedQueries, rank_queries
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.records import PhotoEmbedding
from satchel.search.rules import SearchRules
from satchel.search.whitening import whiten_gallery
from satchel.workflows.fit import WEIGHTS, best_weight, usual_distance

MOST = 9
COMMON = 3.0
LITE0 = GarbageRules(
    level=14.8,
    centre=-5.8,
    near=-18.7,
    other=5,
    enlarged=38,
    off_colour=3.6,
    constant=1.1,
    doubtful_at=-0.4,
    dropped_at=0.5,
)

Photos = Mapping[Path, PhotoEmbedding]


def fewer(gallery: Gallery) -> Gallery:
    """At most `MOST` right photos of each product."""
    seen: Counter[str] = Counter()
    kept = []
    for photo in gallery.photos:
        seen[photo.code] += photo.kind == RIGHT
        if photo.kind != RIGHT or seen[photo.code] <= MOST:
            kept.append(photo)
    return replace(gallery, photos=tuple(kept))


def with_common_part(photos: Photos) -> Photos:
    """The same photos by an encoder whose cosines are 0.9 and more."""
    size = read_card(BUILTIN).dimension
    direction = np.random.default_rng(0).normal(size=size)
    direction *= COMMON / np.linalg.norm(direction)

    def moved(vector: np.ndarray) -> np.ndarray:
        longer = vector + direction
        return (longer / np.linalg.norm(longer)).astype(np.float32)

    def changed(one: PhotoEmbedding) -> PhotoEmbedding:
        query = one.query and replace(one.query, vector=moved(one.query.vector))
        return replace(one, vector=moved(one.vector), whole=moved(one.whole), query=query)

    return {path: changed(one) for path, one in photos.items()}


def right(gallery: Gallery, photos: Photos) -> tuple[OfflineGallery, np.ndarray]:
    """The gallery's right photos, and the product of each."""
    chosen = [photo for photo in gallery.photos if photo.kind == RIGHT]
    codes = sorted({photo.code for photo in chosen})
    products = np.array([codes.index(photo.code) for photo in chosen])
    return OfflineGallery([photos[photo.path] for photo in chosen], products), products


def distances(gallery: OfflineGallery) -> np.ndarray:
    """Median distance of different products: of embeddings, and of whitened ones."""
    found = gallery.vectors()
    deviations = gallery.view_deviations(at_most=len(gallery))
    whitening = whiten_gallery(found.vectors, found.products, deviations, SearchRules())
    both = (found.vectors, whitening(found.vectors))
    return np.array([usual_distance(one, found.products) for one in both])


def wrong_photos(
    gallery: Gallery, photos: Photos, rules: GarbageRules, scale: float
) -> dict[str, object]:
    """Shares of right and wrong photos that are dropped, and dropped or doubtful."""
    codes = sorted({photo.code for photo in gallery.photos})
    columns = {
        name: np.stack([getattr(photos[photo.path], name) for photo in gallery.photos])
        for name in ("vector", "whole", "colours")
    }
    found = classify(
        columns["vector"],
        np.array([codes.index(photo.code) for photo in gallery.photos]),
        whole=columns["whole"],
        colours=columns["colours"],
        rules=rules,
        scale=scale,
    )
    shares: dict[str, object] = {}
    for name, kinds in (("right", (RIGHT,)), ("wrong", KINDS)):
        rows = np.array([photo.kind in kinds for photo in gallery.photos])
        shares[f"{name}, dropped"] = float((found.states[rows] == 2).mean())
        shares[f"{name}, doubtful too"] = float((found.states[rows] > 0).mean())
    return shares


def with_colours(gallery: Gallery, photos: Photos, n_passes: int, fit: EncoderFit) -> EncoderFit:
    """The fit with the weight of colours that `satchel.workflows.fit` chooses."""
    fits = {one: fit.model_copy(update={"colours": one}) for one in WEIGHTS}
    plain = SearchRules(patch_weight=0)
    figures = {}
    for weight, one in fits.items():
        ranked, own = left_out(gallery, photos, n_passes, one, plain)
        ranks = ranked.ranks(own)
        figures[weight] = np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)
    return fits[best_weight(figures, own)]


def left_out(
    gallery: Gallery, photos: Photos, n_passes: int, fit: EncoderFit, rules: SearchRules
) -> tuple[RankedQueries, np.ndarray]:
    """Rankings of right photos, each left out of the gallery; and their products."""
    offline, products = right(gallery, photos)
    several = np.flatnonzero(np.bincount(products)[products] > 1)
    ranked = rank_queries(
        offline.searcher(rules, fit),
        (
            Query(as_query(offline.photo(int(at)), n_passes), [int(offline.rows[at])])
            for at in several
        ),
    )
    return ranked, products[several]


def scores(gallery: Gallery, photos: Photos, n_passes: int, fit: EncoderFit) -> dict[str, object]:
    """Top-1, mean first score and mean lead of right photos, each left out of the gallery."""
    ranked, products = left_out(gallery, photos, n_passes, fit, SearchRules())
    lead = ranked.scores[:, 0] - ranked.scores[:, 1]
    return {
        "top-1": float((ranked.ranks(products) == 1).mean()),
        "score": float(ranked.scores[:, 0].mean()),
        "lead": float(lead.mean()),
    }


def measured(galleries: list[Gallery], photos: dict[str, Photos]) -> list[dict[str, object]]:
    """A row for each gallery, encoder and kind of thresholds."""
    photos = photos | {"clip-b16, common part": with_common_part(photos["clip-b16"])}
    rows: list[dict[str, object]] = []
    for gallery in galleries:
        usual = {name: distances(right(gallery, of)[0]) for name, of in photos.items()}
        for name, of in photos.items():
            passes = read_card(BUILTINS[name.partition(",")[0]]).n_passes
            distance, searched = (usual[name] / usual["clip-b16"]).tolist()
            fit = EncoderFit(distance=distance, searched=searched)
            fit = with_colours(gallery, of, passes, fit)
            kinds = {"stated": (GarbageRules(), NOT_MEASURED), "measured": (GarbageRules(), fit)}
            if name == "lite0":
                kinds["own"] = (LITE0, NOT_MEASURED)
            if name == "clip-b16":
                del kinds["measured"]
            for kind, (rules, one) in kinds.items():
                rows.append(
                    {"gallery": gallery.name, "encoder": name, "thresholds": kind}
                    | {"distance": one.distance, "searched": one.searched, "colours": one.colours}
                    | wrong_photos(gallery, of, rules, one.distance)
                    | scores(gallery, of, passes, one)
                )
    return rows


def report(rows: list[dict[str, object]]) -> None:
    """Print the table and write the JSON."""
    cells = [
        [f"{cell:.3f}" if isinstance(cell, float) else cell for cell in row.values()]
        for row in rows
    ]
    print_table("Thresholds measured for other encoders", list(rows[0]), cells)
    write_json("fit", rows)


def main() -> None:
    """Embed the galleries with both encoders, and report."""
    with TemporaryDirectory() as folder:
        galleries = [fewer(one) for one in (grocery(Path(folder)), luma(Path(folder)))]
        paths = list(dict.fromkeys(photo.path for one in galleries for photo in one.photos))
        found = {name: embedded(paths, shipped(card)) for name, card in BUILTINS.items()}
    report(measured(galleries, dict(found)))


if __name__ == "__main__":
    main()
