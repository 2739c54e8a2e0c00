"""The vector index: the embedded gallery in one file, searched exactly.

The file is a cache. It names its encoder and the catalogue's revision; where it is missing, stale,
truncated, altered or of another encoder, it is rebuilt from the vectors in the database.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from satchel.arrays import Bools, Floats, Ints
from satchel.catalog.vectors import GalleryVectors
from satchel.encode.colour import COLOURS
from satchel.encode.fit import NOT_MEASURED, EncoderFit, to_standard
from satchel.errors import DamagedIndex
from satchel.files import atomic_path, storage_error
from satchel.nearest import nearest_rows
from satchel.search.patch_matching import PatchSpace, fit_patch_space
from satchel.search.rules import SearchRules
from satchel.search.whitening import Rows, Whitening, whiten_gallery

LAYOUT: Final = "satchel-index-5"

Tensors = Mapping[str, npt.NDArray[Any]]

PLAIN: Final = SearchRules(
    view_power=0, product_power=0, colour_weight=0, rerank_weight=0, patch_weight=0
)
"""Plain cosines: no whitening, colours, re-ranking or patches."""


@dataclass(frozen=True, slots=True)
class GalleryIndex:
    """The gallery's vectors, grouped by product.

    Attributes:
        gallery: the vectors in search space: whitened, with colour histograms concatenated.
        encoder: id of their embedding space; see `satchel.encode.embedder.EmbeddingSpace`.
        whitening: fitted to them; see `prepared`.
        rules: settings of the comparison.
        space: where patches are compared; empty for an encoder without patch output.
        fit: how the encoder's cosines and weights compare with the built-in one's.
    """

    gallery: GalleryVectors
    encoder: str
    whitening: Whitening = field(default_factory=Whitening.none)
    rules: SearchRules = PLAIN
    space: PatchSpace = field(default_factory=PatchSpace.none)
    fit: EncoderFit = NOT_MEASURED

    @classmethod
    def of(
        cls,
        gallery: GalleryVectors,
        encoder: str,
        view_deviations: Rows,
        rules: SearchRules,
        patches: npt.NDArray[np.int8] | None = None,
        *,
        fit: EncoderFit = NOT_MEASURED,
    ) -> GalleryIndex:
        """Build the index of an embedded gallery.

        Args:
            view_deviations: shape (m, d), float32; see `VectorStore.view_deviations`.
            patches: shape (p, e), of a sample of its photos; None without patch output.
            fit: of the embedding space.
        """
        whitening = whiten_gallery(gallery.vectors, gallery.products, view_deviations, rules)
        if gallery.colours is None:
            rules = rules.model_copy(update={"colour_weight": 0.0})
        space = PatchSpace.none() if patches is None else fit_patch_space(patches)
        index = cls(gallery, encoder, whitening, rules, space, fit)
        searched = _concatenate(whitening(gallery.vectors), gallery.colours, index.colour_weight)
        return replace(index, gallery=replace(gallery, vectors=searched, colours=None))

    @property
    def made_of(self) -> tuple[str, int, SearchRules, tuple[float, float, float]]:
        """Embedding space, revision of the catalogue, rules and fit: of others it is stale."""
        return self.encoder, self.gallery.revision, self.rules, self.fit.in_search

    @property
    def colour_weight(self) -> float:
        """Weight of colours relative to the encoder's own cosine of whitened vectors."""
        return self.rules.colour_weight * self.fit.colours * self.fit.searched

    @property
    def patch_weight(self) -> float:
        """Weight of local features; see `SearchRules`."""
        return self.rules.patch_weight * self.fit.patches

    @property
    def scale(self) -> float:
        """How many times the built-in encoder's distances are those in search space.

        Distances of whitened vectors are `fit.searched` times as large, those of colours the same.
        """
        standard = self.rules.colour_weight * self.fit.colours
        return self.fit.searched * (1 + standard) / (1 + self.colour_weight)

    def standard(self, cosines: Floats) -> Floats:
        """Cosines in search space as the built-in encoder's would be: scores are made of these."""
        return to_standard(cosines, self.scale)

    def prepared(self, queries: Rows) -> Rows:
        """Map query vectors into search space.

        A cosine in search space is the weighted mean of the cosine of the whitened vectors and the
        similarity of the colour histograms.

        Args:
            queries: shape (q, d) or (q, d + c), float32: vectors, with colours concatenated
                where this index compares colours.
        """
        weight = self.colour_weight
        size = self.gallery.vectors.shape[1] - (COLOURS if weight else 0)
        return _concatenate(self.whitening(queries[:, :size]), queries[:, size:], weight)

    def colours(self, searched: Rows) -> Rows:
        """Extract the colour histograms from vectors in search space, scaled to length 1.

        Args:
            searched: shape (m, d), float32: of `prepared`, or of `gallery`.

        Returns:
            shape (m, c), float32; c = 0 where this index does not compare colours.
        """
        weight = self.colour_weight
        if not weight:
            return searched[:, :0]
        return searched[:, -COLOURS:] * np.float32(np.sqrt((1 + weight) / weight))

    def __len__(self) -> int:
        return len(self.gallery.vectors)

    def photo(self, row: int | np.integer[Any]) -> str:
        """SHA-256 of the photo of a row."""
        name: str = self.gallery.photos[row].tobytes().hex()
        return name

    def search(self, queries: Floats, k: int, *, among: Bools | None = None) -> tuple[Floats, Ints]:
        """Find the `k` rows of the gallery nearest to each query, by inner product, exactly.

        Args:
            queries: shape (q, d), float32, each of length 1, in the space of `prepared`.
            k: how many; at most `len(self)` come back.
            among: shape (n,), the rows that may come back; None for all.

        Returns:
            cosines, shape (q, k'), float32, descending; and rows, shape (q, k'), int64.
        """
        return nearest_rows(queries, self.gallery.vectors, k, among=among)

    def vectors_of(self, rows: Ints) -> Rows:
        """Return the vectors of some rows, shape (m, d), in search space."""
        return self.gallery.vectors[rows]

    def rows_of(self, products: Ints) -> Ints:
        """Return every row of these products; int64, ascending. Rows are ordered by product."""
        starts = np.searchsorted(self.gallery.products, products, side="left")
        ends = np.searchsorted(self.gallery.products, products, side="right")
        spans = [np.arange(a, b) for a, b in zip(starts, ends, strict=True)]
        return np.concatenate(spans) if spans else np.zeros(0, np.int64)

    def save(self, path: Path) -> None:
        """Write the index to `path`, atomically.

        Raises:
            StorageError: the system does not let it be written.
        """
        tensors: dict[str, npt.NDArray[Any]] = {
            "vectors": self.gallery.vectors,
            "products": self.gallery.products,
            "photos": self.gallery.photos,
            "whitening": self.whitening.matrix,
            "patch_centre": self.space.centre,
            "patch_axes": self.space.axes,
        }
        metadata = {
            "layout": LAYOUT,
            "encoder": self.encoder,
            "rules": self.rules.model_dump_json(),
            "fit": self.fit.model_dump_json(),
            "revision": str(self.gallery.revision),
        }
        checksum = {"checksum": _checksum(metadata, tensors)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                save_file(tensors, temporary, metadata | checksum)
        except OSError as error:
            raise storage_error(error, f"write the index {path}") from None

    @classmethod
    def load(cls, path: Path) -> GalleryIndex:
        """Read an index and check that it is whole.

        Raises:
            DamagedIndex: it is missing, truncated, altered or no index.
        """
        try:
            with safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _read(metadata, tensors)
        except Exception as error:  # a damaged file may raise anything
            raise DamagedIndex(f"{path} cannot be read as an index: {error}") from None


def read_index_header(path: Path) -> tuple[str, int, SearchRules]:
    """Read what an index was made from, without its rows: embedding space, revision, rules.

    Raises:
        DamagedIndex: it is missing, truncated or no index.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        rules = SearchRules.model_validate_json(metadata["rules"])
        return metadata["encoder"], int(metadata["revision"]), rules
    except Exception as error:  # a damaged file may raise anything
        raise DamagedIndex(f"{path} cannot be read as an index: {error}") from None


def _read(metadata: dict[str, str], tensors: Tensors) -> GalleryIndex:
    """Build the index from a file's tensors; a damaged file may raise any exception."""
    expected = metadata.pop("checksum", None)
    if metadata.get("layout") != LAYOUT or expected != _checksum(metadata, tensors):
        raise ValueError("its layout or checksum differs")
    rules = SearchRules.model_validate_json(metadata["rules"])
    fit = EncoderFit.model_validate_json(metadata["fit"])
    _check_shapes(tensors, colours=rules.colour_weight * fit.colours > 0)
    gallery = GalleryVectors(
        tensors["vectors"], tensors["products"], tensors["photos"], int(metadata["revision"])
    )
    space = PatchSpace(tensors["patch_centre"], tensors["patch_axes"])
    whitening = Whitening(tensors["whitening"])
    return GalleryIndex(gallery, metadata["encoder"], whitening, rules, space, fit)


def _check_shapes(tensors: Tensors, *, colours: bool) -> None:
    """Check that the tensors' types and shapes agree.

    Raises:
        ValueError: they do not.
    """
    rows, columns = tensors["vectors"].shape
    size = columns - (COLOURS if colours else 0)
    patch, axes = len(tensors["patch_centre"]), tensors["patch_axes"].shape[1]
    expected: dict[str, tuple[type[np.generic], list[tuple[int, ...]]]] = {
        "vectors": (np.float32, [(rows, columns)]),
        "products": (np.int64, [(rows,)]),
        "photos": (np.uint8, [(rows, 32)]),
        "whitening": (np.float32, [(size, size), (0, 0)]),
        "patch_centre": (np.float32, [(patch,)]),
        "patch_axes": (np.float32, [(patch, axes)]),
    }
    for name, (dtype, shapes) in expected.items():
        found = tensors[name]
        if found.dtype != dtype or found.shape not in shapes:
            raise ValueError(f"{name} is {found.dtype}, {found.shape}: expected one of {shapes}")


def _concatenate(vectors: Rows, colours: Rows | None, weight: float) -> Rows:
    """Append colours to embeddings, so that an inner product counts both; of length 1."""
    if colours is None or not weight:
        return np.ascontiguousarray(vectors)
    scale = np.float32(1 / np.sqrt(1 + weight))
    return np.hstack([vectors * scale, colours * (scale * np.float32(np.sqrt(weight)))])


def _checksum(metadata: Mapping[str, str], tensors: Tensors) -> str:
    """CRC-32 over metadata and tensors, their names and types: against accidents, not attackers."""
    table = [(name, tensor.dtype.str, tensor.shape) for name, tensor in sorted(tensors.items())]
    crc = zlib.crc32(json.dumps([sorted(metadata.items()), table]).encode())
    for name in sorted(tensors):
        crc = zlib.crc32(np.ascontiguousarray(tensors[name]).data, crc)
    return f"{crc:08x}"
