"""Adapting the built-in encoder's head: its training, a killed run, the whole way."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, draw, fill, fill_with_shapes
from satchel.encode.card import read_card
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serving_card
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.progress import SILENT
from satchel.workspace import Workspace
from support.stub_encoder import by_saliency

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("onnx", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

import onnx
import torch

from satchel.adapt import token_cache, validation
from satchel.adapt.clip_head import Head, TokenEncoder, TokenSource
from satchel.adapt.compose.foreground import extract_foregrounds
from satchel.adapt.compose.synthesis import Composer
from satchel.adapt.files import Start, read_adapted_head, read_head_file
from satchel.adapt.head import HeadEncoder, adapt_head, token_source
from satchel.adapt.head_training import Tokens, train_head
from satchel.adapt.objective import MarginSoftmax
from satchel.adapt.outcome import Outcome
from satchel.adapt.settings import AdaptSettings, HeadSettings, PairSettings
from satchel.adapt.token_cache import CachedEncoder, SyntheticTokens
from satchel.adapt.vit_torch import TorchTokenEncoder
from satchel.train.dealing import SplitOptions, make_split
from satchel.train.runs import Run
from satchel.train.splits import Split
from satchel.workflows import split as split_workflow
from satchel.workflows.adapt import adapts_head, begin_adapting
from satchel.workflows.tasks import adapt_task
from shipped import shipped_model
from support.pictures import rgb
from support.progress import Killed, Killing

TINY = AdaptSettings(
    minutes=None,
    n_val_queries=4,
    val_share=0.2,
    threads=1,
    head=HeadSettings(max_per_photo=2, epochs=2, batch=4),
)


# -- training --------------------------------------------------------------------------------------


def test_training_goes_down_the_loss_and_leaves_nothing_out() -> None:
    torch.manual_seed(0)
    head = Head(8, 16)
    rng = np.random.default_rng(0)
    parts = tuple(rng.normal(size=(n, 2, 8)).astype(np.float16) for n in (7, 5))
    shown = Tokens(parts, np.arange(12) % 4)
    tokens, classes = shown.batch(np.array([11, 0, 7, 6]))
    assert classes.tolist() == [3, 0, 3, 2]
    for found, expected in zip(
        tokens.numpy(), (parts[1][4], parts[0][0], parts[1][0], parts[0][6]), strict=True
    ):
        assert np.array_equal(found, expected.astype(np.float32))
    softmax = MarginSoftmax(
        torch.randn(4, 8), torch.zeros(4, 4, dtype=torch.bool), scale=8, margin=0
    )
    everything = shown.batch(np.arange(12))

    def loss() -> float:
        with torch.inference_mode():
            return float(softmax(head(everything[0]), everything[1], everything[1], 1.0))

    before = loss()
    settings = HeadSettings(epochs=40, batch=4, learning_rate=0.01, prototype_rate=0.01)
    report = Killing()
    train_head(head, softmax, shown, settings, progress=report)
    assert loss() < before / 2
    assert report.done == 40 * 12


# -- the run ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base() -> onnx.ModelProto:
    return shipped_model()


@pytest.fixture(scope="module")
def tower(base: onnx.ModelProto) -> TokenEncoder:
    return TokenEncoder(read_card(), base)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of five drawn shapes, one picture each."""
    folder = tmp_path_factory.mktemp("drawn")
    workspace = Workspace.create(folder / "workspace")
    fill_with_shapes(workspace, folder / "source", Encoder.load())
    workspace.catalogue.close()
    return workspace.folder


@pytest.fixture
def workspace(drawn: Path, tmp_path: Path) -> Workspace:
    return Workspace.open(shutil.copytree(drawn, tmp_path / "own"))


def adapted(workspace: Workspace, run: Run, *kills: Killing) -> Outcome:
    """Adapt, killed where each of these dies."""
    record = run.read()
    task = adapt_task(workspace, Split.load(workspace.split_path(record.split)), run)
    settings = AdaptSettings.model_validate(record.settings)
    for dying in kills:
        with pytest.raises(Killed):
            adapt_head(task, settings, run, progress=dying, on_epoch=lambda *_: None)
    adapt_head(task, settings, run, progress=SILENT, on_epoch=lambda *_: None)
    return Outcome.read(run)


def test_a_killed_run_ends_as_one_that_was_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenEncoder, "batch", 2)
    monkeypatch.setattr(token_cache, "TIMED_BATCHES", 2)
    whole, broken = (begin_adapting(workspace, TINY, name) for name in ("whole", "broken"))
    kills = [Killing(6, stage="validate"), Killing(6, stage="synthesise"), Killing(4)]
    seen: list[np.ndarray] = []
    given = SyntheticTokens.encode

    def kept(self: SyntheticTokens, progress: Killing) -> object:
        found = given(self, progress)
        seen.append(np.array(found[0]))
        return found

    monkeypatch.setattr(SyntheticTokens, "encode", kept)
    assert adapted(workspace, whole) == adapted(workspace, broken, *kills)
    first, *others = seen
    assert first.shape == (2 * 4, 2, 768)  # two synthetic photos of each that is trained on
    assert np.abs(first).max(axis=(1, 2)).min() > 0
    assert len(others) == 2  # it was killed twice before it had them
    assert all(np.array_equal(first, other) for other in others)
    ours, theirs = (read_head_file(run.best) for run in (whole, broken))
    assert ours.weight == theirs.weight == TINY.head.ensemble_weight
    own = theirs.head.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in ours.head.state_dict().items())
    assert not list(broken.folder.glob("*.npy"))  # only the head is kept


def test_torch_tokens_are_those_of_the_onnx_encoder(
    workspace: Workspace, tower: TokenEncoder, base: onnx.ModelProto
) -> None:
    run = begin_adapting(workspace, TINY, "adapt")
    task = adapt_task(workspace, Split.load(workspace.split_path(run.read().split)), run)
    photos = task.photos
    foregrounds = extract_foregrounds(
        run.folder / "f.npy", photos.names, photos.boxes, photos.read, side_px=229
    )
    composer = Composer(foregrounds, TINY.synth, side_px=176)
    found = {}
    sources: dict[str, TokenSource] = {
        "int8": tower,
        "float": TorchTokenEncoder(base, torch.device("cpu")),
    }
    for name, source in sources.items():
        tokens = SyntheticTokens(composer, source, task.trained, 2, 0, run, None)
        found[name] = np.array(tokens.encode(SILENT)[0], np.float32)
        for kept in (token_cache.SYNTHETIC, token_cache.SCHEDULE):
            (run.folder / kept).unlink()
    ours, theirs = (one.reshape(-1, 768) for one in found.values())
    assert found["int8"].shape == (2 * len(task.trained), 2, 768)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert ((ours * theirs).sum(1) / lengths).min() > 0.9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree(tower: TokenEncoder, base: onnx.ModelProto) -> None:
    crops = np.stack([draw(shape, size_wh=(144, 192)) for shape in SHAPES])
    card = token_source(tower, base)
    assert isinstance(card, TorchTokenEncoder)
    expected = TorchTokenEncoder(base, torch.device("cpu")).head_tokens(crops).astype(np.float32)
    difference = np.abs(card.head_tokens(crops).astype(np.float32) - expected)
    assert difference.max() < 0.02 * np.abs(expected).max()


def test_as_many_synthetic_photos_are_made_as_fit() -> None:
    def planned(ends: float | None, done: int = 0) -> int:
        tokens = SyntheticTokens(None, None, np.arange(10), 40, 0, None, ends)  # type: ignore[arg-type]
        return tokens._schedule(2.0, done).per_photo

    now = time.monotonic()
    assert planned(None) == 40
    assert planned(now + 100.5) == 20  # 100 s × 2 a second ÷ 10 pictures
    assert planned(now + 10_000) == 40
    assert planned(now - 1) == 1
    assert planned(now - 1, done=34) == 3  # what an earlier process made is not thrown away


def test_adapt_promote_find_and_roll_back(workspace: Workspace, tower: TokenEncoder) -> None:
    from satchel.workflows.promote import promote_run
    from satchel.workflows.roll_back import roll_back
    from satchel.workflows.train import resume

    workspace = by_saliency(workspace)
    assert adapts_head(workspace)
    before = Identifier.open(workspace)
    run = begin_adapting(workspace, TINY, "adapt")
    resume(workspace, run, progress=SILENT, on_epoch=lambda *_: None)
    record = json.loads((run.folder / "run.json").read_text())
    assert (record["kind"], record["state"]) == ("adapt_head", "finished")
    assert record["figures"]["per_photo"] == 2
    assert record["figures"]["per_second"] > 0
    card = promote_run(workspace, run, progress=SILENT)
    builtin = read_card()
    assert (card.dimension, card.n_passes) == (2 * builtin.dimension, builtin.n_passes)
    assert card.confidence == builtin.confidence  # synthetic photos do not measure it
    assert serving_card(workspace.models).parent.name == "adapt-fp16"
    with pytest.raises(UsageError, match="does not exist"):
        promote_run(workspace, run, "int8", progress=SILENT)

    # What is judged while training is what answers.
    encoder = Encoder.load(serving_card(workspace.models))
    passes = CachedEncoder(tower, run.folder / "again.npy", 8, lambda _: None)
    look = HeadEncoder(passes, read_adapted_head(run, builtin.sha256))
    photos = [draw(shape, 5) for shape in SHAPES[:2]]
    for served, judged in zip(
        *(embed(e, photos, gallery=True) for e in (encoder, look)), strict=True
    ):
        assert served.vector @ judged.vector > 0.9999
        assert served.box == judged.box
        assert np.array_equal(served.colours, judged.colours)

    # A product that no training saw is found once it is imported and embedded.
    later = workspace.folder / "later" / "stripes"
    later.mkdir(parents=True)
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[::8] = stripes[1::8] = stripes[2::8] = (250, 200, 20)
    (later / "0.jpg").write_bytes(encode_jpeg(stripes, 92))
    fill(workspace, later.parent, encoder)
    found = Identifier.open(workspace).identify(encode_jpeg(stripes[:, 20:], 85))
    assert found.candidates[0].product.code == "stripes"
    roll_back(workspace)
    assert Identifier.open(workspace).space.id == before.space.id


def test_adapting_again_starts_from_the_built_in_head_and_is_held_against_what_answers(
    workspace: Workspace,
) -> None:
    from satchel.workflows.promote import promote_run
    from satchel.workflows.train import resume

    workspace = by_saliency(workspace)
    first, second = "first", "second"
    run = begin_adapting(workspace, TINY, first)
    assert not (run.folder / "served.safetensors").exists()
    resume(workspace, run, progress=SILENT, on_epoch=lambda *_: None)
    promote_run(workspace, run, progress=SILENT)
    assert adapts_head(workspace)
    again = begin_adapting(workspace, TINY, second)
    resume(workspace, again, progress=SILENT, on_epoch=lambda *_: None)
    assert Outcome.read(again).start == Outcome.read(run).adapted
    # The same start, pictures and seed: the same end.
    ours, theirs = (read_head_file(one.best).head.state_dict() for one in (run, again))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    shutil.rmtree(run.folder)
    with pytest.raises(UsageError, match="no longer"):
        adapts_head(workspace)


def test_real_pairs_are_learned_from_and_a_killed_run_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five shapes with three photos each; one of each is a seller's, one product is held out."""
    from satchel.workflows.promote import promote_run

    monkeypatch.setattr(validation, "FEWEST_QUERIES", 1)
    workspace = Workspace.create(tmp_path / "workspace")
    source = tmp_path / "source"
    for shape in SHAPES:
        (source / shape).mkdir(parents=True)
        for seed in (1, 2, 3):
            (source / shape / f"{seed}.jpg").write_bytes(encode_jpeg(rgb(draw(shape, seed)), 92))
    fill(workspace, source, Encoder.load())
    photos = split_workflow.labelled(
        workspace, split_workflow.workspace_photos(workspace), column=None
    )
    last = {photo.code: (photo.code, photo.sha256) for photo in photos}
    options = SplitOptions(protocol="open", val=0.2, test=0)
    split = make_split(photos, options, queries=list(last.values()))
    settings = TINY.model_copy(update={"pairs": PairSettings(views=2, steps=4, batch=8, twins=1)})
    whole, broken = (begin_adapting(workspace, settings, name, split) for name in ("a", "b"))
    first = adapted(workspace, whole)
    assert {"own1", "own5"} <= set(first.adapted)
    assert first == adapted(workspace, broken, Killing(3, stage="views"), Killing(2, stage="train"))
    ours, theirs = (read_head_file(run.best) for run in (whole, broken))
    assert ours.weight == 1
    assert ours.head.projection is not None
    own = theirs.head.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in ours.head.state_dict().items())
    card = promote_run(workspace, whole, progress=SILENT)
    assert card.dimension == read_card().dimension


def test_the_light_encoder_is_adapted_as_a_whole(workspace: Workspace) -> None:
    from satchel.encode.registry import serve_model

    serve_model(workspace.models, "lite0")
    assert not adapts_head(workspace)


def test_a_head_of_another_built_in_encoder_is_refused(workspace: Workspace) -> None:
    run = begin_adapting(workspace, TINY, "old")
    Start(base="0" * 64).write(run)
    with pytest.raises(UsageError, match="another Satchel"):
        adapted(workspace, run)
    with pytest.raises(UsageError, match="not trained its head"):
        read_adapted_head(run, read_card().sha256)
