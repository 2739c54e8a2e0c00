from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from conftest import fill, jpeg, put_in
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.errors import DamagedIndex, IndexMissing
from satchel.records import WHOLE_PHOTO, PhotoEmbedding, Problem
from satchel.search.index import GalleryIndex
from satchel.search.indexing import (
    BATCH_PHOTOS,
    COMMIT_BATCHES,
    build_index,
    embed_gallery,
    open_index,
)
from satchel.search.rules import SearchRules
from satchel.workspace import Workspace
from support.stub_encoder import stub_card, stub_model


def same(a: GalleryIndex, b: GalleryIndex) -> bool:
    return (
        a.encoder == b.encoder
        and a.gallery.revision == b.gallery.revision
        and np.array_equal(a.gallery.vectors, b.gallery.vectors)
        and np.array_equal(a.gallery.products, b.gallery.products)
        and np.array_equal(a.gallery.photos, b.gallery.photos)
        and np.array_equal(a.whitening.matrix, b.whitening.matrix)
        and a.rules == b.rules
    )


def test_what_is_saved_is_loaded(filled: Workspace, encoder: Encoder) -> None:
    built = build_index(
        filled.catalogue, EmbeddingSpace(encoder.card), filled.index_path, filled.settings.search
    )
    assert len(built) == 10
    assert same(GalleryIndex.load(filled.index_path), built)


def test_every_indexed_photo_finds_itself(filled: Workspace, encoder: Encoder) -> None:
    index = open_index(
        filled.catalogue, EmbeddingSpace(encoder.card), filled.index_path, filled.settings.search
    )
    cosines, rows = index.search(index.gallery.vectors, 1)
    assert (rows[:, 0] == np.arange(len(index))).all()
    assert cosines[:, 0] == pytest.approx(1, abs=1e-3)


def test_search_agrees_with_sorting_all_products_of_vectors(filled: Workspace) -> None:
    index = GalleryIndex.load(filled.index_path)
    query = index.gallery.vectors[3:5]
    cosines, rows = index.search(query, 4)
    everything = query @ index.gallery.vectors.T
    expected = np.argsort(-everything, axis=1)[:, :4]
    assert (rows == expected).all()
    assert cosines == pytest.approx(np.take_along_axis(everything, expected, 1), abs=1e-5)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "header", "altered", "text"])
def test_damaged_it_is_made_again(filled: Workspace, encoder: Encoder, damage: str) -> None:
    path = filled.index_path
    built = GalleryIndex.load(path)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    contents = {
        "empty": b"",
        "cut": bytes(data[: len(data) // 2]),
        "header": b"\xff" * 8 + bytes(data[8:]),
        "altered": bytes(data),
        "text": b"this is no index",
    }
    path.unlink()
    if damage in contents:
        path.write_bytes(contents[damage])
    with pytest.raises(DamagedIndex):
        GalleryIndex.load(path)
    assert same(
        open_index(filled.catalogue, EmbeddingSpace(encoder.card), path, filled.settings.search),
        built,
    )
    assert same(GalleryIndex.load(path), built)


def test_stale_or_another_encoder_s_it_is_made_again(filled: Workspace, encoder: Encoder) -> None:
    index = GalleryIndex.load(filled.index_path)
    GalleryIndex(index.gallery, "another encoder").save(filled.index_path)
    assert (
        open_index(
            filled.catalogue,
            EmbeddingSpace(encoder.card),
            filled.index_path,
            filled.settings.search,
        ).encoder
        == encoder.id
    )
    with filled.catalogue.writing() as writer:
        known = writer.product("M0")
        assert known is not None
        photo = writer.add_photo("0" * 64, 1, 1, 1)
        writer.link(known[0], photo, {}, {})
    again = open_index(
        filled.catalogue, EmbeddingSpace(encoder.card), filled.index_path, filled.settings.search
    )
    assert again.gallery.revision == filled.catalogue.revision()
    assert len(again) == 10  # the new photo has no vector yet


def test_other_rules_make_it_anew(filled: Workspace, encoder: Encoder) -> None:
    rules = SearchRules(view_power=0, product_power=0, colour_weight=0)
    plain = open_index(filled.catalogue, EmbeddingSpace(encoder.card), filled.index_path, rules)
    assert plain.rules == GalleryIndex.load(filled.index_path).rules == rules
    raw = filled.catalogue.vectors.gallery(encoder.id, encoder.card.dimension)
    assert np.array_equal(plain.gallery.vectors, raw.vectors)
    whitened = open_index(
        filled.catalogue, EmbeddingSpace(encoder.card), filled.index_path, filled.settings.search
    )
    assert raw.colours is not None
    described = np.hstack([raw.vectors, raw.colours])
    assert np.allclose(whitened.gallery.vectors, whitened.prepared(described), atol=1e-6)
    assert np.array_equal(plain.prepared(described), raw.vectors)


def test_an_index_of_the_layout_before_is_made_again(filled: Workspace, encoder: Encoder) -> None:
    gallery = GalleryIndex.load(filled.index_path).gallery
    tensors = {n: getattr(gallery, n) for n in ("vectors", "products", "photos")}
    metadata = {"layout": "satchel-index-1", "encoder": encoder.id, "revision": "1"}
    save_file(tensors, filled.index_path, metadata)
    with pytest.raises(DamagedIndex):
        GalleryIndex.load(filled.index_path)
    again = open_index(
        filled.catalogue, EmbeddingSpace(encoder.card), filled.index_path, filled.settings.search
    )
    assert len(again.whitening.matrix) == encoder.card.dimension


def test_deviations_between_passes(workspace: Workspace) -> None:
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(2, 5, 8)).astype(np.float16).astype(np.float32)
    with workspace.catalogue.writing() as writer:
        product = writer.add_product("M1", {})
        ids = [writer.add_photo(f"{number:064x}", 1, 1, 1) for number in range(5)]
        for number in ids[:4]:  # the fifth shows no product
            writer.link(product, number, {}, {})
    workspace.catalogue.vectors.put(
        "e",
        (
            (n, PhotoEmbedding(WHOLE_PHOTO, v, w, v[:3]))
            for n, v, w in zip(ids, *looks, strict=True)
        ),
    )
    deviations = workspace.catalogue.vectors.view_deviations("e", 8, at_most=4)
    assert np.array_equal(deviations, (looks[1] - looks[0])[:4])
    assert np.array_equal(
        workspace.catalogue.vectors.view_deviations("e", 8, at_most=3), deviations[[0, 2]]
    )
    assert workspace.catalogue.vectors.view_deviations("another", 8, at_most=3).shape == (0, 8)


def test_only_new_photos_are_embedded(
    filled: Workspace, encoder: Encoder, catalogue_file: Path
) -> None:
    (catalogue_file.parent / "photos" / "new.jpg").write_bytes(jpeg("ring", 77))
    catalogue_file.write_text("code,photo\nNEW,photos/new.jpg\n")
    done: list[int] = []

    class Counting(Encoder):
        def encode(self, crops):
            done.append(len(crops))
            return super().encode(crops)

    counting = Counting(stub_card(), stub_model(), threads=1)
    fill(filled, catalogue_file, counting)
    assert done == [1, 1]  # one photo of the gallery, two looks
    assert len(GalleryIndex.load(filled.index_path)) == 11


def test_nothing_to_index_says_what_to_do(workspace: Workspace, encoder: Encoder) -> None:
    with pytest.raises(IndexMissing, match="the catalogue is empty: import"):
        open_index(
            workspace.catalogue,
            EmbeddingSpace(encoder.card),
            workspace.index_path,
            workspace.settings.search,
        )
    with workspace.catalogue.writing() as writer:
        product = writer.add_product("M1", {})
    with pytest.raises(IndexMissing, match="no photos yet: collect some with `satchel collect"):
        open_index(
            workspace.catalogue,
            EmbeddingSpace(encoder.card),
            workspace.index_path,
            workspace.settings.search,
        )
    with workspace.catalogue.writing() as writer:
        writer.link(product, writer.add_photo("0" * 64, 1, 1, 1), {}, {})
    with pytest.raises(IndexMissing, match="there is no index yet"):
        open_index(
            workspace.catalogue,
            EmbeddingSpace(encoder.card),
            workspace.index_path,
            workspace.settings.search,
        )


def test_a_photo_that_is_gone_from_the_store_costs_only_itself(
    workspace: Workspace, encoder: Encoder, catalogue_file: Path
) -> None:
    put_in(workspace, catalogue_file)
    lost = workspace.catalogue.photos_of("M1")[0].sha256
    workspace.photos.path(lost).unlink()
    problems: list[Problem] = []
    embed_gallery(
        workspace.catalogue,
        workspace.photos,
        Embedder(encoder),
        on_problem=problems.append,
    )
    assert [problem.what for problem in problems] == [f"photo {lost} of M1"]
    assert workspace.catalogue.vectors.count_missing(encoder.id) == 1


@pytest.mark.flow
def test_killed_while_embedding_it_goes_on(
    workspace: Workspace, encoder: Encoder, tmp_path: Path
) -> None:
    first, photos = BATCH_PHOTOS * COMMIT_BATCHES, BATCH_PHOTOS * (COMMIT_BATCHES + 1)
    (tmp_path / "many" / "M").mkdir(parents=True)
    for number in range(photos):
        path = tmp_path / "many" / "M" / f"{number}.jpg"
        path.write_bytes(jpeg("disc", number, (64, 48)))
    put_in(workspace, tmp_path / "many")
    *_, (_, last) = workspace.catalogue.vectors.missing(encoder.id)
    stored = workspace.photos.path(last)
    data = stored.read_bytes()
    stored.unlink()
    os.mkfifo(stored)  # whoever reads it waits for its end: after the first commit it is killed
    satchel = [sys.executable, "-m", "satchel", "--workspace", str(workspace.folder), "index"]
    process = subprocess.Popen(satchel, stderr=subprocess.DEVNULL)
    while workspace.catalogue.vectors.count_missing(encoder.id) == photos:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert workspace.catalogue.vectors.count_missing(encoder.id) == photos - first
    assert not workspace.index_path.exists()
    stored.unlink()
    stored.write_bytes(data)
    done = subprocess.run(satchel, capture_output=True, text=True, check=True)
    assert f"{photos - first} photos embedded; the index holds {photos}" in done.stderr
