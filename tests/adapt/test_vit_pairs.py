"""Learning from real pairs by all of an encoder: batches, losses, a killed run, the whole way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from conftest import SHAPES, draw, fill
from satchel.encode.card import BUILTIN, LITE, read_card
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serve_model, serving_card
from satchel.errors import EncoderError, UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.progress import SILENT
from satchel.workspace import Workspace
from support.cli import satchel
from support.stub_encoder import by_saliency

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("onnx", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

import torch

from satchel.adapt import pair_network, validation, vit_pairs
from satchel.adapt.files import read_vit, vit_start
from satchel.adapt.outcome import Outcome
from satchel.adapt.pair_batches import PairBatches, PairRows, by_shape
from satchel.adapt.pair_network import PairNetwork, VitEncoder, mapped, with_projection
from satchel.adapt.pair_training import VIEWS, contrast
from satchel.adapt.settings import AdaptSettings, PairSettings
from satchel.adapt.vit_pairs import train_vit
from satchel.adapt.vit_torch import TorchVit
from satchel.convert import gate
from satchel.convert.checkpoint import Checkpoint, only_checkpoint
from satchel.convert.facts import read_facts
from satchel.convert.layouts.architecture import spec_of
from satchel.convert.layouts.find import find
from satchel.convert.layouts.weights import weights_of
from satchel.train.dealing import SplitOptions, make_split
from satchel.train.runs import Run
from satchel.train.settings import FitSettings
from satchel.train.splits import Split
from satchel.workflows import split as split_workflow
from satchel.workflows.adapt import begin_adapting, trained_blocks
from satchel.workflows.add_encoder import add_encoder
from satchel.workflows.encoder_files import Wanted
from satchel.workflows.promote import promote_encoder, promote_run
from satchel.workflows.roll_back import roll_back
from satchel.workflows.tasks import vit_task
from support import checkpoints
from support.pictures import rgb
from support.progress import Killed, Killing

# -- batches ---------------------------------------------------------------------------------------

CLASSES = np.repeat(np.arange(6), 5)
REAL = np.tile([True, True, False, False, False], 6)
REAL[CLASSES == 5] = False  # a product without sellers' photos
PAIRED = np.arange(5)
TWINS = np.array([[0, 1, 2], [1, 0, 2], [2, 3, 4], [3, 2, 4], [4, 3, 2]])


def batches(*, batch: int, seed: int = 0, process: int = 0, processes: int = 1) -> PairBatches:
    return PairBatches(
        PairRows.of(CLASSES, REAL, PAIRED),
        TWINS,
        batch=batch,
        steps=10,
        twins_each=1,
        seed=seed,
        process=process,
        processes=processes,
    )


def test_a_batch_holds_pairs_of_the_same_products_and_photos_that_stay() -> None:
    some, near = batches(batch=4 * VIEWS), 0  # two products
    for number in range(len(some)):
        asked, shown, kept = np.split(some.batch(0, number), 3)
        assert REAL[asked].all()
        assert not REAL[shown].any()
        assert not REAL[kept].any()
        assert np.array_equal(CLASSES[asked], CLASSES[shown])
        seed, other = np.unique(CLASSES[asked])
        near += other in TWINS[seed] or seed in TWINS[other]
    assert near > 0.7 * len(some)  # of all pairs of products 0.6 are near twins
    drawn = np.concatenate([some.batch(0, number) for number in range(len(some))])
    assert 5 in CLASSES[drawn]  # it stays, although nothing is learned of it


def test_batches_depend_on_seed_epoch_and_process_alone_and_are_of_one_size() -> None:
    first, again, other = batches(batch=64), batches(batch=64), batches(batch=64, seed=1)
    assert first.batch_size == 3 * VIEWS * 5  # all products that have pairs
    assert {len(first.batch(epoch, 3)) for epoch in range(5)} == {first.batch_size}
    assert np.array_equal(first.batch(2, 7), again.batch(2, 7))
    assert not np.array_equal(first.batch(2, 7), other.batch(2, 7))
    parts = [batches(batch=8, process=at, processes=2) for at in (0, 1)]
    assert len(parts[0]) == len(parts[1]) == 5
    assert not np.array_equal(parts[0].batch(0, 0), parts[1].batch(0, 0))


def test_crops_of_one_shape_pass_together() -> None:
    shapes = [(16, 32, 3), (32, 16, 3), (16, 32, 3)]
    crops = [np.full(shape, at, np.uint8) for at, shape in enumerate(shapes)]
    found = {places.tolist()[0]: (places.tolist(), group) for places, group in by_shape(crops)}
    assert found[0][0] == [0, 2]
    assert found[0][1].shape == (2, 16, 32, 3)
    assert found[1][1].max() == 1


# -- the network -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP in open_clip's layout."""
    folder = tmp_path_factory.mktemp("hub") / "small-clip"
    return checkpoints.write_open_clip(checkpoints.small_clip(), folder, quick=True)


@pytest.fixture
def network(checkpoint: Path) -> TorchVit:
    found = find(Checkpoint(only_checkpoint(checkpoint)))
    spec = spec_of(found, read_facts(checkpoint, found.layout.name))
    return TorchVit(spec, with_projection(weights_of(found, spec), spec.width), most=12)


def some_crops(n: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 16 * rows, 16 * columns, 3), np.uint8)


def vectors(network: TorchVit, crops: np.ndarray) -> torch.Tensor:
    found: torch.Tensor = network(torch.from_numpy(crops).permute(0, 3, 1, 2).float()).vectors
    return found


def gradients(network: TorchVit) -> dict[str, torch.Tensor]:
    return {
        name: part.grad.clone() for name, part in network.parts.items() if part.grad is not None
    }


def test_a_projection_begins_as_nothing_and_then_as_a_map(network: TorchVit) -> None:
    crops, rng = some_crops(4, 7, 7), np.random.default_rng(1)
    weights = network.weights()
    bare = {name: value for name, value in weights.items() if not name.startswith("projection")}
    before = vectors(TorchVit(network.spec, bare, most=12), crops)
    again = TorchVit(network.spec, with_projection(bare, network.spec.width), most=12)
    assert torch.allclose(vectors(again, crops), before, atol=1e-6)
    matrix = rng.normal(size=(48, 48)).astype(np.float32)
    shift = rng.normal(size=48).astype(np.float32)
    unscaled: list[torch.Tensor] = []
    given = TorchVit._output

    def output(self: TorchVit, vector: torch.Tensor) -> torch.Tensor:
        unscaled.append(vector @ self.parts["projection"] + self.parts["projection/b"])
        return given(self, vector)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchVit, "_output", output)
        vectors(network, crops)
    changed = TorchVit(network.spec, mapped(weights, matrix, shift), most=12)
    expected = (unscaled[0].detach().numpy() - shift) @ matrix
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(vectors(changed, crops).detach().numpy(), expected, atol=1e-4)


def test_losses_and_gradients_are_those_of_one_plain_pass(
    network: TorchVit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crops of two shapes, in parts, computed again on the way back: the same as all at once."""
    monkeypatch.setattr(pair_network, "PASSED_TOGETHER", 2)
    settings = PairSettings(temperature=0.2, distillation=0.7)
    wide, high = some_crops(5, 6, 8), some_crops(4, 8, 6, seed=1)
    places = np.array([0, 2, 3, 6, 8]), np.array([1, 4, 5, 7])
    classes = torch.tensor([0, 1, 1, 0, 1, 1])  # three queries, three pictures, three others
    trained = PairNetwork(network, settings)
    with torch.no_grad():  # so that it differs from what it is taught
        for part in network.parts.values():
            part.mul_(1 + 0.05 * torch.randn(part.shape, generator=torch.manual_seed(0)))
    crops = zip(places, (wide, high), strict=True)
    losses = trained(classes, 3, *(torch.from_numpy(one) for group in crops for one in group))
    torch.stack(list(losses.values())).sum().backward()
    found = gradients(network)
    network.zero_grad()

    order = np.argsort(np.concatenate(places))
    own = torch.cat([vectors(network, one) for one in (wide, high)])[order]
    with torch.no_grad():
        (teacher,) = trained._teacher
        taught = torch.cat([vectors(teacher, one) for one in (wide, high)])[order]
    pairs = contrast(own[:6], classes, 3, 0.2)
    kept = 0.7 * (1 - (own[3:] * taught[3:]).sum(1)).mean()
    assert losses["pairs"].item() == pytest.approx(pairs.item(), rel=1e-5)
    assert losses["kept"].item() == pytest.approx(kept.item(), rel=1e-4)
    (pairs + kept).backward()
    expected = gradients(network)
    assert found.keys() == expected.keys() > {"patch", "0/qkv/w", "projection"}
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-6), name


def test_the_projection_learns_at_its_own_rate_and_what_is_not_trained_stays(
    network: TorchVit,
) -> None:
    settings = PairSettings(learning_rate=1e-5, new_rate=3e-4)
    trained = PairNetwork(network, settings)
    assert not any("teacher" in name for name in trained.state_dict())
    old, new = trained.groups(FitSettings(), 1)
    assert (old["peak"], new["peak"]) == (1e-5, 3e-4)
    assert len(new["params"]) == 2
    assert not network.parts["patch"].requires_grad
    assert not network.parts["1/qkv/w"].requires_grad
    assert network.parts["2/qkv/w"].requires_grad
    assert network.parts["projection"].requires_grad


def test_what_validates_is_the_network_as_it_is_then(network: TorchVit) -> None:
    card = read_card().model_copy(update={"input_side_px": 112, "dimension": 48})
    encoder = VitEncoder(network, card)
    crops = some_crops(3, 5, 9)
    own = vectors(network, crops).detach()
    with torch.no_grad():
        network.parts["projection"].zero_()
    found = encoder.encode(crops)
    assert (found.vectors * own.numpy()).sum(1).min() > 0.998  # it may multiply in bfloat16
    assert found.saliency.shape == (3, 7, 7)


# -- a run -----------------------------------------------------------------------------------------

TINY = AdaptSettings(
    minutes=None,
    n_val_queries=4,
    val_share=0.2,
    threads=1,
    pairs=PairSettings(views=1, batch=8, twins=1, blocks=3, interpolation_weights=(0.5, 1.0)),
)


@pytest.fixture(scope="module")
def served_once(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shapes with three photos each, in a workspace that serves the small CLIP."""
    folder = tmp_path_factory.mktemp("pairs")
    workspace = Workspace.create(folder / "workspace")
    for shape in SHAPES:
        (folder / "source" / shape).mkdir(parents=True)
        for seed in (1, 2, 3):
            path = folder / "source" / shape / f"{seed}.jpg"
            path.write_bytes(encode_jpeg(rgb(draw(shape, seed)), 92))
    fill(workspace, folder / "source", Encoder.load())
    own = shutil.copytree(checkpoint, folder / "small-clip")
    add_encoder(workspace, str(own), Wanted(kinds=("fp32",)), accept=lambda _: False)
    promote_encoder(workspace, "small-clip", progress=SILENT)
    workspace.catalogue.close()
    return folder


@pytest.fixture
def workspace(served_once: Path, tmp_path: Path) -> Workspace:
    return by_saliency(Workspace.open(shutil.copytree(served_once, tmp_path / "own") / "workspace"))


def real_split(workspace: Workspace, *, real: int = len(SHAPES)) -> Split:
    """One photo of each of so many products is a seller's; a product is held out."""
    photos = split_workflow.labelled(
        workspace, split_workflow.workspace_photos(workspace), column=None
    )
    last = {photo.code: (photo.code, photo.sha256) for photo in photos}
    options = SplitOptions(protocol="open", val=0.2, test=0)
    return make_split(photos, options, queries=list(last.values())[:real])


def trained(workspace: Workspace, run: Run, *kills: Killing) -> Outcome:
    """Train, killed where each of these dies."""
    settings, task = run.read().settings_as(AdaptSettings), vit_task(workspace, run)
    for dying in kills:
        with pytest.raises(Killed):
            train_vit(task, settings, run, progress=dying, on_epoch=lambda *_: None)
    train_vit(task, settings, run, progress=SILENT, on_epoch=lambda *_: None)
    return Outcome.read(run)


@pytest.mark.flow
def test_a_killed_run_ends_as_one_that_was_not_and_its_encoder_is_served(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "FEWEST_QUERIES", 1)
    monkeypatch.setattr(vit_pairs, "EPOCH_STEPS", 2)
    monkeypatch.setattr(pair_network, "faster_precision", lambda _: "fp32")
    settings = TINY.model_copy(update={"pairs": TINY.pairs.model_copy(update={"steps": 4})})
    split = real_split(workspace)
    whole, broken = (begin_adapting(workspace, settings, name, split) for name in ("a", "b"))
    assert whole.read().kind == "train_vit"
    start = read_vit(whole.folder / "start.safetensors")
    first = trained(workspace, whole)
    assert {"own1", "own5"} <= set(first.adapted)
    assert len(first.start) == len(first.adapted)
    kills = [Killing(2, stage="views"), Killing(12), Killing(36)]
    assert first == trained(workspace, broken, *kills)
    ours, theirs = (read_vit(run.best) for run in (whole, broken))
    assert all(np.array_equal(value, theirs[name]) for name, value in ours.items())
    assert not np.array_equal(ours["0.qkv.w"], start["0.qkv.w"])  # all of it learned
    left = {path.name for path in whole.folder.glob("*.safetensors")}
    assert left == {"start.safetensors", "best.safetensors"}

    # Where int8 does not agree with the network, the next kind that does is served.
    with monkeypatch.context() as patch:
        patch.setitem(gate.LEAST_COSINE, "int8", 1.1)
        with pytest.raises(UsageError, match="the int8 file of a does not exist"):
            promote_run(workspace, whole, "int8", progress=SILENT)
        assert promote_run(workspace, whole, progress=SILENT).name == "a-fp16"

    before = serving_card(workspace.models)
    card = promote_run(workspace, whole, progress=SILENT)
    assert serving_card(workspace.models).parent.name == "a-int8"
    assert card.dimension == 48
    assert card.patch_dimension == checkpoints.WIDTH
    assert Identifier.open(workspace).identify(encode_jpeg(draw(SHAPES[0], 99), 90)).candidates

    # Trained again, it begins as this one did, and is held against this one.
    again = begin_adapting(workspace, settings, "c", split)
    assert vit_start(again) == vit_start(whole)
    kept = read_vit(again.folder / "start.safetensors")
    assert all(np.array_equal(value, kept[name]) for name, value in start.items())
    roll_back(workspace)
    assert serving_card(workspace.models) == before


def test_last_blocks_alone_are_trained_where_it_is_said_for_as_many_steps(
    workspace: Workspace,
) -> None:
    settings = TINY.model_copy(
        update={"pairs": TINY.pairs.model_copy(update={"blocks": 1, "steps": 1})}
    )
    run = begin_adapting(workspace, settings, "last", real_split(workspace))
    start = read_vit(run.folder / "start.safetensors")
    task = vit_task(workspace, run)
    state = train_vit(task, settings, run, progress=SILENT, on_epoch=lambda *_: None)
    assert state.step == 1
    found = read_vit(run.best)
    assert np.array_equal(found["1.qkv.w"], start["1.qkv.w"])
    assert not np.array_equal(found["2.qkv.w"], start["2.qkv.w"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_what_a_processor_trains(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TINY.model_copy(update={"pairs": TINY.pairs.model_copy(update={"steps": 1})})
    split, found = real_split(workspace), []
    for there in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "is_available", lambda there=there: there)
            run = begin_adapting(workspace, settings, f"gpu-{there}", split)
            trained(workspace, run)
            found.append(read_vit(run.best)["projection"].ravel())
    on_gpu, on_processor = (one / np.linalg.norm(one) for one in found)
    assert on_gpu @ on_processor > 0.99


def test_the_command_trains_and_reports(workspace: Workspace) -> None:
    split = real_split(workspace)
    path = workspace.folder / "pairs.json"
    path.write_text(split.model_dump_json())
    options = ("--set", "minutes=0.05", "--set", "n_val_queries=4", "--set", "pairs.views=0")
    small = ("--set", "pairs.batch=8", "--set", "pairs.blocks=2")
    done = satchel(workspace.folder, "adapt", "--split", str(path), *options, *small, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["run"]["kind"] == "train_vit"
    assert found["run"]["settings"]["pairs"]["blocks"] == 2
    assert found["served"] is False
    assert "next: satchel promote" in done.stderr


def test_a_split_that_outlives_its_run_takes_no_name_from_another(workspace: Workspace) -> None:
    split = real_split(workspace)
    gone = begin_adapting(workspace, TINY, "mine", split)
    shutil.rmtree(gone.folder)
    run = begin_adapting(workspace, TINY, "mine", split)
    assert (run.name, run.read().split) == ("mine", "mine-2")
    assert vit_task(workspace, run).has_pairs


# -- what is refused -------------------------------------------------------------------------------


def test_a_run_whose_folder_was_never_completed_says_so(workspace: Workspace) -> None:
    run = begin_adapting(workspace, TINY, "half", real_split(workspace))
    run.update(split="", split_hash="")  # as a kill leaves it before the split is frozen
    done = satchel(workspace.folder, "adapt", "--resume", "half")
    assert done.returncode == 2
    assert f"remove {run.folder}, and begin a new run" in done.stderr


def test_a_name_that_no_split_can_have_leaves_no_folder(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="'my run'"):
        begin_adapting(workspace, TINY, "my run", real_split(workspace))
    assert not list(workspace.runs.glob("*"))


def test_a_resumed_run_keeps_its_settings(workspace: Workspace) -> None:
    begin_adapting(workspace, TINY, "kept", real_split(workspace))
    given = ("--set", "pairs.blocks=2", "--minutes", "1", "--from-decisions")
    done = satchel(workspace.folder, "adapt", "--resume", "kept", *given)
    assert done.returncode == 2
    assert "leave out --minutes, --from-decisions, --set" in done.stderr


@pytest.mark.parametrize(
    "pairs",
    [
        {"interpolation_weights": (1.5,)},
        {"interpolation_weights": (-0.5, 1.0)},
        {"interpolation_weights": (float("nan"),)},
        {"temperature": float("inf")},
    ],
)
def test_settings_that_no_record_could_hold_or_that_extrapolate_are_refused(
    pairs: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        PairSettings.model_validate(pairs)


def test_an_added_encoder_learns_from_sellers_photos_alone(workspace: Workspace) -> None:
    for split in (None, real_split(workspace, real=1)):
        with pytest.raises(UsageError, match="sellers' photos of two products"):
            begin_adapting(workspace, TINY, "few", split)
    assert not list(workspace.runs.glob("*"))


def test_a_checkpoint_that_is_gone_or_another_is_named(workspace: Workspace) -> None:
    origin = json.loads((workspace.models / "small-clip" / "provenance.json").read_text())["origin"]
    folder = Path(origin["source"])
    file = folder / "open_clip_model.safetensors"
    data = file.read_bytes()
    try:
        file.write_bytes(data[:-4] + b"\x00\x00\x80\x3f")
        with pytest.raises(EncoderError, match="another file than was asked for"):
            begin_adapting(workspace, TINY, "other", real_split(workspace))
        file.unlink()
        with pytest.raises(UsageError, match="small-clip was made from is needed"):
            begin_adapting(workspace, TINY, "gone", real_split(workspace))
    finally:
        file.write_bytes(data)
    assert not list(workspace.runs.glob("*"))


def test_the_built_in_encoder_is_trained_whole_where_it_is_said(workspace: Workspace) -> None:
    serve_model(workspace.models, "clip-b16")
    assert serving_card(workspace.models) == BUILTIN
    with pytest.raises(UsageError, match=r"pairs.blocks = 3 needs sellers' photos"):
        begin_adapting(workspace, TINY, "none", real_split(workspace, real=1))
    run = begin_adapting(workspace, TINY, "whole", real_split(workspace))
    assert run.read().kind == "train_vit"
    vit = vit_start(run)
    assert (vit.spec.blocks, vit.card) == (12, read_card())
    weights = read_vit(run.folder / "start.safetensors")
    crops = some_crops(2, 11, 11)
    own = Encoder.load(BUILTIN).encode(crops).vectors
    found = vectors(TorchVit(vit.spec, weights, most=vit.served.most), crops).detach().numpy()
    assert (own * found).sum(1).min() > 0.97
    head = TINY.model_copy(update={"pairs": PairSettings(blocks=1)})
    kind = begin_adapting(workspace, head, "head", real_split(workspace)).read().kind
    assert kind == "adapt_head"
    serve_model(workspace.models, "lite0")
    assert serving_card(workspace.models) == LITE
    assert begin_adapting(workspace, TINY, "lite", real_split(workspace)).read().kind == (
        "adapt_network"
    )


def test_all_blocks_are_trained_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        found[there] = [trained_blocks(PairSettings(blocks=one), 12) for one in (None, 1, 4, 40)]
    assert found == {True: [12, 1, 4, 12], False: [1, 1, 4, 12]}
