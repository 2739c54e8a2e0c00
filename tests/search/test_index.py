"""The index file: what is read is what was written, or nothing is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from damage import flip_a_bit_of
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.embedder import EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.errors import DamagedIndex, StorageError
from satchel.search.index import GalleryIndex
from satchel.search.indexing import build_index, open_index
from satchel.search.patch_matching import PatchSpace
from satchel.search.rules import SearchRules
from satchel.search.whitening import Whitening
from satchel.workspace import Workspace

RULES = SearchRules(colour_weight=0)


def tiny() -> GalleryIndex:
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    photos = rng.integers(0, 256, (3, 32), np.uint8)
    gallery = GalleryVectors(floats(3, 4), np.array([1, 1, 7]), photos, revision=5)
    space = PatchSpace(floats(6), floats(6, 2))
    return GalleryIndex(gallery, "e" * 64, Whitening(floats(4, 4)), RULES, space)


def parts(index: GalleryIndex) -> list[object]:
    """All that an index holds, to be compared."""
    return [
        index.encoder,
        index.rules,
        index.gallery.revision,
        *(
            (array.dtype, array.shape, array.tobytes())
            for array in (
                index.gallery.vectors,
                index.gallery.products,
                index.gallery.photos,
                index.whitening.matrix,
                index.space.centre,
                index.space.axes,
            )
        ),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "index" / "gallery.safetensors"
    tiny().save(path)
    return path


def test_what_is_saved_is_loaded(path: Path) -> None:
    assert parts(GalleryIndex.load(path)) == parts(tiny())


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    rng = np.random.default_rng(0)
    sample = rng.choice(range(8 * end, 8 * len(whole)), 300, replace=False)
    expected = parts(tiny())
    unnoticed = []
    with path.open("r+b", buffering=0) as file:
        for bit in [*range(8 * end), *map(int, sample)]:
            at, byte = bit // 8, whole[bit // 8]
            os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), at)
            try:
                if parts(GalleryIndex.load(path)) != expected:
                    unnoticed.append(bit)
            except DamagedIndex:
                pass
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert unnoticed == []
    assert parts(GalleryIndex.load(path)) == expected


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -100, -1])
def test_cut_short_it_is_noticed(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedIndex):
        GalleryIndex.load(path)


@pytest.mark.parametrize("length", [0, 2**20, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_another_length_is_noticed(path: Path, length: int) -> None:
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(DamagedIndex):
        GalleryIndex.load(path)


MISFITS: dict[str, Callable[[GalleryIndex], GalleryIndex]] = {
    "whitening": lambda index: replace(index, whitening=Whitening(np.eye(5, dtype=np.float32))),
    "whitening is float64": lambda index: replace(
        index,
        whitening=Whitening(np.eye(4)),  # type: ignore[arg-type] # as a file may hold it
    ),
    "whitening of vectors without colours": lambda index: replace(
        index, rules=SearchRules(colour_weight=0.1)
    ),
    "products": lambda index: replace(
        index, gallery=replace(index.gallery, products=np.array([1, 7]))
    ),
    "photos": lambda index: replace(
        index, gallery=replace(index.gallery, photos=index.gallery.photos[:, :16].copy())
    ),
    "vectors is float16": lambda index: replace(
        index, gallery=replace(index.gallery, vectors=index.gallery.vectors.astype(np.float16))
    ),
    "patch_axes": lambda index: replace(
        index, space=PatchSpace(index.space.centre, index.space.axes[:5])
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_tensors_that_do_not_fit_each_other_are_noticed(path: Path, what: str) -> None:
    MISFITS[what](tiny()).save(path)  # its checksum is right
    with pytest.raises(DamagedIndex, match=what.removesuffix(" of vectors without colours")):
        GalleryIndex.load(path)


def test_other_tensors_are_no_index(path: Path) -> None:
    save_file({**load_file(path), "further": np.zeros(3)}, path)
    with pytest.raises(DamagedIndex):
        GalleryIndex.load(path)


@pytest.mark.parametrize("field", ["encoder", "rules", "revision", "layout", "checksum"])
def test_damaged_notes_make_it_anew(filled: Workspace, encoder: Encoder, field: str) -> None:
    path, rules = filled.index_path, filled.settings.search
    built = parts(GalleryIndex.load(path))
    flip_a_bit_of(path, field)
    assert parts(open_index(filled.catalogue, EmbeddingSpace(encoder.card), path, rules)) == built
    assert parts(GalleryIndex.load(path)) == built


def test_a_folder_in_its_place_is_reported_and_kept(filled: Workspace, encoder: Encoder) -> None:
    path = filled.index_path
    path.unlink()
    (path / "photos of mine").mkdir(parents=True)
    with pytest.raises(DamagedIndex):
        GalleryIndex.load(path)
    wanted = filled.catalogue, EmbeddingSpace(encoder.card), path, filled.settings.search
    with pytest.raises(StorageError, match="remove what is in its place"):
        build_index(*wanted)
    assert len(open_index(*wanted)) == 10  # from memory: identification goes on
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert (path / "photos of mine").is_dir()
