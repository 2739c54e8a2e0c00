"""Offline evaluation ranks as identification does, on real photos and under the shipped rules."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from conftest import SHARED
from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.confidence.features import Rankings
from satchel.encode.colour import COLOURS
from satchel.encode.embed import as_query
from satchel.evaluate.offline import (
    NO_PRODUCT,
    Query,
    RankedQueries,
    embed_photos,
    rank_pairs,
    rank_queries,
    stored_photos,
)
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.identify import Identifier
from satchel.images import RGB, closer, decode
from satchel.records import WHOLE_PHOTO, Box, Identification, PhotoEmbedding
from satchel.search.rules import SearchRules
from satchel.served import load_embedder
from satchel.workflows.index import index_catalogue
from satchel.workspace import Workspace
from support.progress import Counter

MAISON = Path(__file__).parents[2] / "examples" / "maison"
GROCERY = SHARED / "data" / "grocery" / "dataset"


def read(path: Path) -> RGB:
    return decode(path.read_bytes())


def near(path: Path, box: Box) -> RGB:
    return closer(path.read_bytes(), box)


@pytest.mark.flow
def test_demo_photos_get_the_answers_that_identify_gives(tmp_path: Path) -> None:
    with (MAISON / "catalogue.csv").open(encoding="utf-8") as file:
        rows = [(row["code"], MAISON / row["photo"]) for row in csv.DictReader(file)]
    same_answers(tmp_path, rows[:16], sorted((MAISON / "queries").glob("*.jpg"))[:4])


@pytest.mark.shared
def test_grocery_photos_get_the_answers_that_identify_gives(tmp_path: Path) -> None:
    """Several photos of a product: whitening by products and candidate re-ranking take part."""
    train, test = (listed(part) for part in ("train", "test"))
    codes = sorted({code for code, _ in train})[:6]
    rows = [row for code in codes for row in [r for r in train if r[0] == code][:3]]
    queries = [next(path for of, path in test if of == code) for code in codes]
    same_answers(tmp_path, rows, queries)


def listed(part: str) -> list[tuple[str, Path]]:
    lines = (GROCERY / f"{part}.txt").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split(",")] for line in lines]
    return [(f"G{int(number):02d}", GROCERY / path) for path, number, _ in cells]


def same_answers(folder: Path, rows: Sequence[tuple[str, Path]], queries: Sequence[Path]) -> None:
    """Rank photos by a new workspace's identifier and offline, and compare everything.

    Once with all products, and once with a filter that every second one passes.
    """
    codes = list(dict.fromkeys(code for code, _ in rows))
    products = [codes.index(code) for code, _ in rows]
    workspace = workspace_of(folder, rows)
    embedder = load_embedder(workspace)
    embed_all = partial(embed_photos, embedder.encoder, locator=embedder.locator, closer=near)
    identifier = Identifier.open(workspace)
    photos = list(embed_all(queries, read))
    half = np.arange(0, len(codes), 2)
    embedded = embed_all([path for _, path in rows], read, gallery=True)
    shas = [photo.sha256 for code in codes for photo in workspace.catalogue.photos_of(code)]
    of = [at for at, code in enumerate(codes) for _ in workspace.catalogue.photos_of(code)]
    galleries = {
        "embedded": OfflineGallery(embedded, products, encoder=embedder.space.id),
        "stored": OfflineGallery(stored_photos(workspace.catalogue, embedder.space, shas), of),
    }
    for gallery in galleries.values():
        searcher = gallery.searcher(SearchRules())
        assert searcher.index.space  # local features take part
        for where, only in ((None, None), ({"half": "0"}, half)):
            asked = [Query(photo, only=only) for photo in photos]
            found = rank_queries(searcher, asked, confidence=embedder.space.card.confidence)
            assert not np.isnan(found.rankings.evidence[:, 0]).any()
            for row, path in enumerate(queries):
                answer = identifier.identify(path.read_bytes(), top=len(codes), where=where)
                same_answer(found, row, answer, codes)


def same_answer(
    found: RankedQueries, row: int, answer: Identification, codes: Sequence[str]
) -> None:
    names = [codes[product] for product in found.products[row] if product != NO_PRODUCT]
    count = len(names)
    assert names == [candidate.product.code for candidate in answer.candidates]
    scores = [candidate.score for candidate in answer.candidates]
    confidences = [candidate.confidence for candidate in answer.candidates]
    np.testing.assert_allclose(found.scores[row, :count], scores, atol=1e-6)
    np.testing.assert_allclose(found.confidences[row, :count], confidences, atol=1e-5)
    assert found.in_catalogue[row] == pytest.approx(answer.in_catalogue, abs=1e-5)


def workspace_of(folder: Path, rows: Sequence[tuple[str, Path]]) -> Workspace:
    """A workspace with all defaults."""
    table = folder / "rows.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("code", "photo", "half"))
        codes = list(dict.fromkeys(code for code, _ in rows))
        for at, (code, path) in enumerate(rows):
            shutil.copy(path, folder / f"{at}{path.suffix}")
            writer.writerow((code, f"{at}{path.suffix}", codes.index(code) % 2))
    workspace = Workspace.create(folder / "workspace")
    import_rows(
        open_rows(table).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=print,
    )
    index_catalogue(workspace)
    return workspace


# -- by hand -----------------------------------------------------------------------------------


def drawn(count: int, rng: np.random.Generator) -> list[PhotoEmbedding]:
    def unit(size: int) -> np.ndarray:
        rows = rng.normal(size=(count, size)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    rows = zip(unit(16), unit(16), unit(COLOURS), strict=True)
    patches = rng.integers(-127, 128, (count, 4, 8), np.int8)
    return [
        PhotoEmbedding(WHOLE_PHOTO, vector, whole, colours, own)
        for (vector, whole, colours), own in zip(rows, patches, strict=True)
    ]


def test_a_gallery_photo_is_left_out_as_its_own_query() -> None:
    rng = np.random.default_rng(0)
    photos, products = drawn(12, rng), rng.permutation(np.repeat(np.arange(6), 2))
    gallery = OfflineGallery(photos, products)
    searcher = gallery.searcher(SearchRules(view_power=0, product_power=0))
    asked = [Query(gallery.photo(at), [int(gallery.rows[at])]) for at in range(12)]
    found = rank_queries(searcher, asked)
    assert np.isnan(found.confidences).all()
    for at in range(12):
        others = [other for other in range(12) if other != at]
        rest = OfflineGallery([photos[other] for other in others], products[others])
        alone = rest.searcher(SearchRules(view_power=0, product_power=0))
        expected = alone.rank([gallery.photo(at)], top=6)
        # Their space of local features is learned without the photo: all else is equal.
        without = [one.product for one in expected]
        assert set(found.products[at, :6]) == set(without)
    itself = rank_queries(searcher, [Query(gallery.photo(at)) for at in range(12)])
    assert (itself.first == products).all()


def test_a_gallery_keeps_photos_as_the_catalogue_stores_them() -> None:
    photos = drawn(3, np.random.default_rng(0))
    gallery = OfflineGallery(iter(photos), [4, 2, 4])
    kept = gallery.photo(1)
    assert (kept.vector == photos[1].vector.astype(np.float16)).all()
    assert kept.patches is not None
    assert (kept.patches == photos[1].patches).all()
    assert (as_query(kept, 1).vector == kept.whole).all()
    assert gallery.vectors().products.tolist() == [2, 4, 4]
    assert gallery.rows.tolist() == [1, 0, 2]


def test_as_many_products_as_photos_are_expected() -> None:
    with pytest.raises(ValueError, match="a product for each photo"):
        OfflineGallery(drawn(3, np.random.default_rng(0)), [0, 1])


def test_pairs_leave_each_querys_product_out() -> None:
    rng = np.random.default_rng(0)
    photos = drawn(8, rng)
    searcher = OfflineGallery(photos, np.arange(8) // 2).searcher(SearchRules())
    progress = Counter()
    right = [0, 0, 1, 1, 2, 2, 3, -1]
    pairs = rank_pairs(searcher, map(Query, photos), right, progress=progress)
    assert progress.done == 8
    assert [pair.right for pair in pairs] == right
    for pair in pairs[:7]:
        assert pair.right in {one.product for one in pair.there}
        assert {one.product for one in pair.without} == {0, 1, 2, 3} - {pair.right}
    assert pairs[7].there == pairs[7].without


def test_ties_rank_before_the_right_product() -> None:
    scores = np.array([[0.9, 0.8, 0.8], [0.9, 0.8, 0.7]])
    rankings = Rankings(scores, np.ones(2, np.int64), np.full((2, 3, 2), np.nan))
    products = np.array([[5, 6, 7], [5, 6, 7]])
    found = RankedQueries(products, rankings, scores, np.ones(2))
    assert found.ranks([6, 6]).tolist() == [3, 2]
    assert found.ranks([5, 8]).tolist() == [1, 0]
