"""A promoted encoder is measured on the gallery, and what is stated for another holds for it.

In place of the built-in encoder stands the stub, and the promoted one is the stub with a common
part in all vectors: its cosines are 0.9 and more. Whatever the stub finds, it has to find.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, draw, put_in
from satchel.catalog.lookalike_groups import GroupState
from satchel.curate.copies import compared_pairs
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.fit import NOT_MEASURED, EncoderFit, fit_path, read_fit, write_fit
from satchel.encode.registry import CARD
from satchel.images import encode_jpeg
from satchel.onnx_model import write_card
from satchel.progress import SILENT
from satchel.search.index import GalleryIndex
from satchel.served import served_space
from satchel.workflows import fit as fitting
from satchel.workflows.curate import curate_catalogue
from satchel.workflows.fit import best_weight, fit_space, usual_distance
from satchel.workflows.index import index_catalogue
from satchel.workflows.lookalikes import propose_look_alikes
from satchel.workflows.promote import promote_encoder
from satchel.workflows.roll_back import roll_back
from satchel.workspace import Workspace
from support.cli import satchel
from support.stub_encoder import CROWDED, NAME, add_crowded, stub_card, stub_encoder

COMMON = 3.0
SCALE = 1 / (1 + COMMON**2)

Found = dict[str, tuple[str, tuple[str, ...]]]


@pytest.fixture(autouse=True)
def _stub_is_built_in(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> None:
    monkeypatch.setattr(fitting, "BUILTIN", workspace.models / NAME / CARD)
    monkeypatch.setattr(fitting, "FEWEST_PRODUCTS", 6)


@pytest.fixture
def gallery(workspace: Workspace, tmp_path: Path) -> Workspace:
    """Products of drawn shapes and colours; one photo in five is of another, some are copies."""
    rng = np.random.default_rng(3)
    source, products = tmp_path / "gallery", 14
    tints = rng.uniform(0.3, 1, (products, 3))

    def photo(product: int) -> np.ndarray:
        """The product with something before it, always elsewhere: no photo is another's copy."""
        pixels = draw(SHAPES[product % len(SHAPES)], product, (160, 120)).astype(np.float64)
        tinted = pixels[0, 0] + (pixels - pixels[0, 0]) * tints[product]
        x, y = rng.integers(0, 110), rng.integers(0, 70)
        tinted[y : y + 50, x : x + 50] = 0.6 * tinted[y : y + 50, x : x + 50] + 70
        return np.clip(tinted, 0, 255).astype(np.uint8)

    for product in range(products):
        folder = source / f"P{product:02d}"
        folder.mkdir(parents=True)
        shown = [photo(product) for _ in range(5)]
        wrong = [photo(product + 1)] if product % 3 == 0 else []
        for number, pixels in enumerate([*shown, *wrong]):
            (folder / f"{number}.jpg").write_bytes(encode_jpeg(pixels, 92))
        if product % 5 == 0:
            (folder / "copy.jpg").write_bytes(encode_jpeg(shown[0], 50))
    put_in(workspace, source)
    return workspace


def states(workspace: Workspace) -> Found:
    """State and reasons of each photo, by code and name."""
    found: Found = {}
    for code in workspace.catalogue.ids_of_codes():
        for one in workspace.catalogue.review.of_product(code):
            kinds = tuple(sorted(reason["kind"] for reason in one.reasons))
            found[f"{code}/{one.sha256}"] = (one.state, kinds)
    return found


def copied(found: Found) -> set[str]:
    """Codes of products of which a photo was dropped as a copy."""
    return {name.partition("/")[0] for name, (_, kinds) in found.items() if "copy" in kinds}


def groups(workspace: Workspace) -> set[tuple[str, ...]]:
    propose_look_alikes(workspace)
    proposed = workspace.catalogue.look_alikes.in_state(GroupState.PROPOSED)
    return {group.codes for group in proposed}


@pytest.mark.flow
def test_curation_and_look_alikes_find_the_same_with_another_encoder(gallery: Workspace) -> None:
    curate_catalogue(gallery, gallery.settings.curate)
    expected, alike = states(gallery), groups(gallery)
    pairs = len(compared_pairs(gallery.catalogue.curation))
    assert {"kept", "dropped"} <= {state for state, _ in expected.values()}
    assert copied(expected)

    add_crowded(gallery, COMMON)
    promote_encoder(gallery, CROWDED, progress=SILENT)
    space = served_space(gallery)
    assert space.fit.distance == pytest.approx(SCALE, rel=0.25)  # two views are averaged
    assert space.fit.photos > 20
    assert space.fit.queries > 12
    assert GalleryIndex.load(gallery.index_path).fit == space.fit
    curate_catalogue(gallery, gallery.settings.curate)
    found = states(gallery)
    same = [found[name][0] == expected[name][0] for name in expected]
    assert np.mean(same) > 0.9  # means of photos, and so photos at a limit, differ a little
    assert copied(found) == copied(expected)
    assert len(compared_pairs(gallery.catalogue.curation)) < 1.5 * pairs  # no flood of candidates
    assert groups(gallery) == alike

    roll_back(gallery)
    assert served_space(gallery).fit == read_fit(gallery.models, stub_card().sha256)
    assert GalleryIndex.load(gallery.index_path).fit.distance == 1
    curate_catalogue(gallery, gallery.settings.curate)
    assert states(gallery) == expected


def test_an_encoder_promoted_before_there_are_photos_is_measured_by_index(
    workspace: Workspace, catalogue_file: Path
) -> None:
    """On few photos first, by those of the built-in encoder that are missing; later anew."""
    add_crowded(workspace, COMMON)
    promote_encoder(workspace, CROWDED, progress=SILENT)
    assert served_space(workspace).fit == NOT_MEASURED
    put_in(workspace, catalogue_file)
    assert workspace.catalogue.vectors.count(stub_card().sha256) == 0
    index_catalogue(workspace)
    fit = served_space(workspace).fit
    assert fit.distance == pytest.approx(SCALE, rel=0.25)
    assert (fit.photos, fit.queries) == (10, 0)  # of five products no weight is chosen
    assert workspace.catalogue.vectors.count(stub_card().sha256) == 10
    path = fit_path(workspace.models, served_space(workspace).id)
    before = path.stat().st_mtime_ns
    index_catalogue(workspace)
    assert path.stat().st_mtime_ns == before  # nothing new to measure
    write_fit(workspace.models, served_space(workspace).id, fit.model_copy(update={"photos": 5}))
    index_catalogue(workspace)
    assert served_space(workspace).fit == fit


def test_the_built_in_encoder_is_never_measured(filled: Workspace) -> None:
    space = EmbeddingSpace(stub_card())
    assert fit_space(filled, space).fit == read_fit(filled.models, space.id)
    fit_path(filled.models, space.id).unlink()
    assert fit_space(filled, space).fit == NOT_MEASURED


def test_curation_takes_the_measured_fit_of_an_embedder_made_before(filled: Workspace) -> None:
    fit_path(filled.models, stub_card().sha256).unlink()
    result = curate_catalogue(
        filled, filled.settings.curate, embedder=Embedder(stub_encoder(), None, EncoderFit())
    )
    assert not result.problems


def test_usual_distance_by_hand() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    # Of different products: 1 − 0.6 and 1 − 0.8; those of one product do not count.
    assert usual_distance(vectors, np.array([1, 1, 2])) == pytest.approx(0.3)
    assert usual_distance(vectors, np.array([1, 1, 1])) == pytest.approx(0.4)  # median of 1, .4, .2
    assert usual_distance(np.array([[1, 0]] * 3, np.float32), np.arange(3)) > 0


def test_a_weight_is_taken_only_where_it_is_clearly_better() -> None:
    rng = np.random.default_rng(0)
    products = np.arange(200) // 4
    usual = (rng.random(200) < 0.6).astype(float)
    better = np.where(rng.random(200) < 0.6, 1.0, usual)
    assert best_weight({0.0: usual * 0.5, 1.0: usual, 2.0: better}, products) == 2
    assert best_weight({0.0: better, 1.0: usual, 2.0: usual}, products) == 0
    once = usual.copy()
    once[np.flatnonzero(usual == 0)[0]] = 1.0  # one photo more is chance
    assert best_weight({0.5: once, 1.0: usual}, products) == 1
    assert best_weight({0.5: better[:4], 1.0: usual[:4]}, products[:4]) == 1  # of one product


def test_show_says_what_was_measured(workspace: Workspace, catalogue_file: Path) -> None:
    put_in(workspace, catalogue_file)
    add_crowded(workspace, COMMON)
    assert "not measured" in satchel(workspace.folder, "encoder", "show", CROWDED).stdout
    promote_encoder(workspace, CROWDED, progress=SILENT)
    shown = satchel(workspace.folder, "encoder", "show", CROWDED).stdout
    assert f"distances {served_space(workspace).fit.distance:g} times" in " ".join(shown.split())


def test_scores_that_a_confidence_was_fitted_to_stay(
    workspace: Workspace, catalogue_file: Path
) -> None:
    put_in(workspace, catalogue_file)
    add_crowded(workspace, COMMON)
    card = stub_card(COMMON).model_copy(update={"confidence": stub_card().confidence})
    write_card(workspace.models / CROWDED / CARD, card)
    promote_encoder(workspace, CROWDED, progress=SILENT)
    fit = served_space(workspace).fit
    assert fit.distance == pytest.approx(SCALE, rel=0.25)
    assert (fit.searched, fit.colours, fit.patches) == (1, 1, 1)
