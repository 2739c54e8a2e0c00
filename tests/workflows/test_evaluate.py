"""Evaluating models: what is evaluated is what is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    # torch's TorchScript exporter warns of itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

from conftest import fill
from satchel.catalog.vectors import VectorStore
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.photo_header import PhotoLimits
from satchel.progress import SILENT
from satchel.search.indexing import open_index
from satchel.train.pretrained import create
from satchel.train.splits import Split
from satchel.workflows.evaluate import evaluate_untrained
from satchel.workflows.export import untrained_encoder
from satchel.workflows.split import workspace_photos
from satchel.workflows.split_ranking import SplitPart, rank_part
from satchel.workspace import Workspace
from support.progress import Counter


def split_of(workspace: Workspace, name: str, protocol: str, parts: dict[str, str]) -> Split:
    """Freeze a split by hand; `parts`: code → a letter for each of its photos (t, v, e, or -)."""
    photos: dict[str, list[tuple[str, str]]] = {"t": [], "v": [], "e": [], "-": []}
    for photo in sorted(workspace_photos(workspace), key=lambda p: (p.code, p.sha256)):
        taken = sum(code == photo.code for part in photos.values() for code, _ in part)
        photos[parts[photo.code][taken]].append((photo.code, photo.sha256))
    split = Split(
        protocol=protocol,
        seed=0,
        train=tuple(photos["t"]),
        val=tuple(photos["v"]),
        test=tuple(photos["e"]),
    ).frozen()
    path = workspace.split_path(name)
    path.parent.mkdir(exist_ok=True)
    split.save(path)
    return split


@pytest.mark.parametrize(
    ("protocol", "parts"),
    [
        ("open", {"M0": "tt", "M1": "tt", "M2": "ee", "M3": "e-", "M4": "ee"}),
        ("closed", {"M0": "te", "M1": "te", "M2": "te", "M3": "ee", "M4": "te"}),
    ],
)
def test_queries_that_no_answer_could_be_right_for_are_left_out(
    filled: Workspace, protocol: str, parts: dict[str, str]
) -> None:
    split = split_of(filled, "hand", protocol, parts)
    backbone = create("small_cnn", weights="none", side_px=64)
    report = evaluate_untrained(filled, "hand", backbone, side_px=64)
    left_out = sum(code == "M3" for code, _ in split.test)
    assert report.data.counts["queries"] == 4
    assert report.data.counts["photos left out"] == left_out
    assert any(f"Left out of the figures: {left_out} photos" in note for note in report.notes)
    assert {figure.queries for figure in report.figures} == {4}
    assert "M3" not in {product.name for product in report.products}


def test_what_is_evaluated_is_what_is_served(filled: Workspace, tmp_path: Path) -> None:
    """Top-k of `evaluate` is that of `Identifier` in a workspace of the training photos."""
    codes = {f"M{number}": "te" for number in range(5)}
    split = split_of(filled, "hand", "closed", codes)
    backbone = create("small_cnn", weights="none", side_px=64)
    report = evaluate_untrained(filled, "hand", backbone, side_px=64)
    encoder = untrained_encoder(backbone, 64)
    for code, sha256 in split.train:
        (tmp_path / "train" / code).mkdir(parents=True)
        (tmp_path / "train" / code / "0.jpg").write_bytes(filled.photos.read(sha256))
    shop = Workspace.create(tmp_path / "shop")
    fill(shop, tmp_path / "train", encoder)
    rules = shop.settings.search
    index = open_index(shop.catalogue, EmbeddingSpace(encoder.card), shop.index_path, rules)
    identifier = Identifier(shop.catalogue, Embedder(encoder), index, PhotoLimits())
    places = []
    for code, sha256 in split.test:
        answer = identifier.identify(filled.photos.read(sha256))
        places.append([candidate.product.code for candidate in answer.candidates].index(code))
    figures = {figure.name: figure.value for figure in report.figures}
    for k in (1, 2, 3, 5):
        assert figures[f"Top-{k}"] == pytest.approx(np.mean(np.array(places) < k))


def test_a_part_without_any_query_that_can_be_answered_is_refused(filled: Workspace) -> None:
    split_of(filled, "bare", "open", {"M0": "tt", "M1": "tt", "M2": "e-", "M3": "e-", "M4": "tt"})
    backbone = create("small_cnn", weights="none", side_px=64)
    with pytest.raises(UsageError, match="no photo of the part test"):
        evaluate_untrained(filled, "bare", backbone, side_px=64)


@pytest.mark.parametrize(
    ("protocol", "parts"),
    [
        ("open", {f"M{number}": "tt" if number < 2 else "ee" for number in range(5)}),
        ("closed", {f"M{number}": "te" for number in range(5)}),
    ],
)
def test_stored_embeddings_rank_as_new_ones(
    filled: Workspace,
    encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    parts: dict[str, str],
) -> None:
    split = split_of(filled, "stored", protocol, parts)
    part = SplitPart(filled, split, workspace_photos(filled), "test")
    progress = Counter()
    stored = rank_part(part, Embedder(encoder), progress=progress, keep_vectors=True)
    assert progress.done == len(part.queries)
    monkeypatch.setattr(VectorStore, "count_missing", lambda *_: 1)
    new = rank_part(part, Embedder(encoder), progress=SILENT, keep_vectors=True)
    assert stored.ranks.tolist() == new.ranks.tolist()
    assert stored.first == new.first
    assert stored.vectors is not None
    assert new.vectors is not None
    np.testing.assert_allclose(stored.vectors, new.vectors, atol=2e-3)
