from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import event

from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.records import WHOLE_PHOTO, PhotoEmbedding, QueryView
from satchel.workspace import Workspace


def test_vectors_come_back_by_product_and_only_of_their_encoder(filled: Workspace) -> None:
    catalogue = filled.catalogue
    rng = np.random.default_rng(0)
    expected = {}
    for photo_id, digest in catalogue.vectors.missing("other", page=3):
        vector = rng.normal(size=8).astype(np.float32)
        expected[digest] = vector / np.linalg.norm(vector)
        vector = expected[digest]
        photo = PhotoEmbedding(WHOLE_PHOTO, vector, vector, vector[:3])
        catalogue.vectors.put("other", [(photo_id, photo)])
    gallery = catalogue.vectors.gallery("other", 8)
    assert len(gallery.vectors) == len(expected) == 10
    assert (np.diff(gallery.products) >= 0).all()
    for row, digest in zip(gallery.vectors, gallery.photos, strict=True):
        assert np.abs(row - expected[digest.tobytes().hex()]).max() < 1e-3  # float16
    assert gallery.colours is not None
    assert np.allclose(gallery.colours, gallery.vectors[:, :3])
    assert len(catalogue.vectors.gallery("third", 8).vectors) == 0
    assert catalogue.vectors.count_missing("other") == 0
    assert catalogue.vectors.count_missing("third") == 10


def test_what_a_query_shows_comes_back(workspace: Workspace) -> None:
    rng = np.random.default_rng(0)
    whole, good = rng.normal(size=(2, 8)).astype(np.float32)
    patches = rng.integers(-127, 128, (2, 3, 4)).astype(np.int8)
    view = QueryView(good, good[:3], patches[1])
    photos = [
        PhotoEmbedding(WHOLE_PHOTO, whole, whole, whole[:3], patches[0], query=one)
        for one in (view, None)
    ]
    names = ["0" * 64, "1" * 64]
    with workspace.catalogue.writing() as writer:
        ids = [writer.add_photo(name, 1, 1, 1) for name in names]
    workspace.catalogue.vectors.put("one", zip(ids, photos, strict=True))
    stored = workspace.catalogue.vectors.embeddings("one", names, 4)
    offline = OfflineGallery(photos, [0, 1])
    for kept in (stored[names[0]], offline.photo(0)):
        assert kept.query is not None
        assert np.allclose(kept.query.vector, good, atol=1e-2)
        assert np.allclose(kept.query.colours, good[:3], atol=1e-2)
        assert kept.query.patches is not None
        assert (kept.query.patches == patches[1]).all()
        assert kept.patches is not None
        assert (kept.patches == patches[0]).all()
    assert stored[names[1]].query is offline.photo(1).query is None


def test_patches_are_read_by_photo_and_searched_for_not_gone_through(workspace: Workspace) -> None:
    rng = np.random.default_rng(0)
    kept = rng.integers(-127, 128, (3, 4, 2), np.int8)
    names = [f"{number:064x}" for number in range(4)]
    vector = np.ones(3, np.float32)
    with workspace.catalogue.writing() as writer:
        ids = [writer.add_photo(name, 1, 1, 1) for name in names]
    for encoder, patches in (("one", [*kept, None]), ("other", [None] * 4)):
        rows = zip(ids, patches, strict=True)
        workspace.catalogue.vectors.put(
            encoder,
            (
                (number, PhotoEmbedding(WHOLE_PHOTO, vector, vector, vector, values))
                for number, values in rows
            ),
        )
    plans: list[str] = []
    engine = workspace.catalogue._engine

    @event.listens_for(engine, "before_cursor_execute")
    def explain(_: object, cursor: Any, statement: str, parameters: Any, *__: object) -> None:
        if statement.startswith("SELECT"):
            told = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[-1] for row in told)

    asked = [names[2], "f" * 64, names[0], names[3], names[2]]
    expected = [kept[2].tobytes(), b"", kept[0].tobytes(), b"", kept[2].tobytes()]
    assert workspace.catalogue.vectors.patches("one", asked) == expected
    assert workspace.catalogue.vectors.patches("other", asked) == [b""] * 5
    assert any("encoder=? AND photo_id=?" in plan for plan in plans)
    assert not any("SCAN" in plan or plan.endswith("(encoder=?)") for plan in plans), plans
    assert workspace.catalogue.vectors.patches("one", []) == []
