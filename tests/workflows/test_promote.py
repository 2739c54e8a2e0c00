"""From a trained network to the one that answers, and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, draw, fill
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serving_card
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.progress import SILENT
from satchel.workspace import Workspace
from support.stub_encoder import serve_stub, stub_encoder

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    # torch's TorchScript exporter warns of itself; it is the one that folds batch norms
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of drawn shapes with two runs: a classifier's head, and a cascaded encoder."""
    from satchel.train.dealing import SplitOptions
    from satchel.train.settings import ClassifierSettings, EncoderSettings
    from satchel.workflows.split import split_workspace
    from satchel.workflows.train import resume, start

    folder = tmp_path_factory.mktemp("trained")
    source = folder / "source"
    for shape in SHAPES:
        (source / shape).mkdir(parents=True)
        for seed in range(12):
            data = encode_jpeg(draw(shape, seed), 90)
            (source / shape / f"{seed}.jpg").write_bytes(data)
    workspace = serve_stub(Workspace.create(folder / "workspace"))
    fill(workspace, source, stub_encoder())
    split_workspace(workspace, workspace.split_path("s"), SplitOptions(val=0.5, test=0.0))
    small = {"threads": 1, "side_px": 64, "precision": "fp32", "batch": 10, "epochs": 1}
    for settings, name in (
        (ClassifierSettings(stage="head", **small), "head"),
        (
            EncoderSettings(
                backbone="small_cnn", weights="none", loss="cascaded", photos_each=2, **small
            ),
            "near",
        ),
    ):
        run = start(workspace, "s", settings, name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("satchel.train.classifier.HEAD_STEPS", 50)
            resume(workspace, run, progress=SILENT, on_epoch=lambda *_: None)
    workspace.catalogue.close()
    return workspace.folder


@pytest.fixture
def workspace(trained: Path, tmp_path: Path) -> Workspace:
    return Workspace.open(shutil.copytree(trained, tmp_path / "own"))


@pytest.mark.parametrize("name", ["head", "near"])
def test_exports_agree_with_the_network_for_any_batch(workspace: Workspace, name: str) -> None:
    from satchel.train.export import Exportable
    from satchel.train.runs import Run
    from satchel.workflows.export import export_run
    from satchel.workflows.kinds import kind_of

    run = Run.find(workspace.runs, name)
    found = {one.kind: one for one in export_run(workspace, run)}
    assert found["fp32"].agrees
    assert found["fp16"].agrees
    assert len(found["fp16"].model) < 0.6 * len(found["fp32"].model)
    assert len(found["int8"].model) < 0.5 * len(found["fp32"].model)
    load = kind_of(run.read()).load
    assert load is not None
    backbone, side_px = load(run)
    encoder = Encoder.load(workspace.models / f"{name}-fp32" / "card.json")
    rng = np.random.default_rng(0)
    for n in (1, 5):
        crops = rng.integers(0, 256, (n, side_px, side_px, 3), dtype=np.uint8)
        seen = encoder.encode(crops)
        with torch.inference_mode():
            own, map_ = Exportable(backbone).eval()(torch.from_numpy(crops))
        assert (seen.vectors * own.numpy()).sum(1).min() > 0.9999
        assert np.allclose(seen.saliency, map_.numpy(), rtol=1e-3, atol=1e-3)
        assert np.allclose(np.linalg.norm(seen.vectors, axis=1), 1, atol=1e-5)


def test_promoting_and_rolling_back(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from satchel.train.runs import Run
    from satchel.web.state import ServerState
    from satchel.workflows.promote import promote_run
    from satchel.workflows.roll_back import roll_back

    served = ServerState(workspace)
    photo = encode_jpeg(draw(SHAPES[0], 99), 90)
    before = Identifier.open(workspace)
    assert served.indexed() == 60
    card = promote_run(workspace, Run.find(workspace.runs, "head"), "fp16", progress=SILENT)
    assert serving_card(workspace.models).parent.name == "head-fp16"
    assert card.confidence.measured_on == "validation part of s"
    after = Identifier.open(workspace)
    assert after.space.id == card.sha256 != before.space.id
    assert after.identify(photo).candidates[0].product.code == SHAPES[0]
    assert served.indexed() == 60  # a running server follows
    assert served._embedder.space.id == card.sha256
    monkeypatch.setattr(Encoder, "load", None)  # the card is enough
    roll_back(workspace)
    monkeypatch.undo()
    assert Identifier.open(workspace).space.id == before.space.id
    assert workspace.catalogue.vectors.count_missing(before.space.id) == 0


def test_what_does_not_agree_is_not_served(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from satchel.convert import gate
    from satchel.train.runs import Run
    from satchel.workflows.promote import promote_run

    before = serving_card(workspace.models)
    monkeypatch.setitem(gate.LEAST_COSINE, "int8", 1.1)
    with pytest.raises(UsageError, match="does not agree"):
        promote_run(workspace, Run.find(workspace.runs, "head"), "int8", progress=SILENT)
    assert serving_card(workspace.models) == before
