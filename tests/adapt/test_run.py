"""Adapting the light encoder: its loss by hand, averaging, a killed run, and the whole way."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import fill, fill_with_shapes
from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import GroupState, Proposal
from satchel.encode.card import LITE, read_card
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serve_model, serving_card
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.workspace import Workspace

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    # torch's TorchScript exporter warns of itself; it is the one that folds batch norms
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

from satchel.adapt.run import (
    LEAST_REPEATS,
    AdaptTask,
    MarginSoftmax,
    Outcome,
    adapt,
    averaged,
    begin_adapting,
    first_vectors,
    look_alikes,
    task_of,
)
from satchel.train.batches import TrainingPhotos
from satchel.train.runs import Run
from satchel.train.settings import AdaptSettings
from satchel.train.splits import Split

TINY = AdaptSettings(
    side_px=64,
    batch=4,
    minutes=None,
    epochs=1,
    compositions=8,
    checks=4,
    held_out=0.2,
    threads=1,
    learning_rate=1e-3,
    average=0.5,
)


class Killed(BaseException):
    """Stands for a signal: nothing of Satchel's catches it."""


class Quiet:
    """Tells nobody, and dies after so many steps of training."""

    def __init__(self, dies_after: int = 10**9) -> None:
        self.left = dies_after

    def begin(self, what: str, total: int, done: int = 0) -> None:
        self.training = what == "adapt"

    def advance(self, photos: int) -> None:
        if self.training:
            self.left -= 1
            if self.left < 0:
                raise Killed


# -- the loss --------------------------------------------------------------------------------------


def objective(alike: list[tuple[int, int]], products: int = 5, dimension: int = 7) -> MarginSoftmax:
    mask = torch.zeros(products, products, dtype=torch.bool)
    for a, b in alike:
        mask[a, b] = mask[b, a] = True
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(products, dimension)))
    return MarginSoftmax(weight, mask, scale=9.0, margin=0.2)


def test_the_loss_is_the_formula() -> None:
    loss = objective([(0, 3), (1, 4)])
    rng = np.random.default_rng(1)
    vectors, labels = rng.normal(size=(6, 7)).astype(np.float32), [0, 3, 1, 2, 4, 0]
    weights = loss.weight.detach().numpy()
    total = 0.0
    for vector, label in zip(vectors, labels, strict=True):
        powers = []
        for product in range(5):
            cosine = vector @ weights[product]
            cosine /= np.linalg.norm(vector) * np.linalg.norm(weights[product])
            if product == label:
                own = math.exp(9.0 * (cosine - 0.2))
                powers.append(own)
            elif (label, product) not in {(0, 3), (3, 0), (1, 4), (4, 1)}:
                powers.append(math.exp(9.0 * cosine))
        total -= math.log(own / sum(powers))
    found = loss(torch.from_numpy(vectors), torch.tensor(labels), torch.tensor(labels), 1.0)
    assert found.item() == pytest.approx(total / 6, rel=1e-5)


def test_look_alikes_are_not_pushed_apart() -> None:
    loss = objective([(0, 3)])
    vectors = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.zeros(4, dtype=torch.int64)
    loss(vectors, labels, labels, 1.0).backward()
    pushed = loss.weight.grad.norm(dim=1)
    assert pushed[3] == 0
    assert (pushed[[0, 1, 2, 4]] > 0).all()


def test_look_alikes_are_near_pictures_and_equal_ones() -> None:
    vectors = np.eye(5, dtype=np.float32)
    vectors[1] = (0.99, math.sqrt(1 - 0.99**2), 0, 0, 0)
    labels = np.array([0, 1, 2, 3, 3])
    # Pictures 0 and 1 are near; 2 and 4 are one picture under two products.
    found = look_alikes(vectors, ("a", "b", "c", "d", "c"), labels, 4, cosine=0.98)
    assert sorted(zip(*np.nonzero(found), strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]
    # Somebody said that 0 and 3 look alike, and 1 too.
    told = look_alikes(
        vectors, ("a", "b", "c", "d", "e"), labels, 4, cosine=1.1, confirmed=[np.array([0, 1, 3])]
    )
    pairs = [(0, 1), (0, 3), (1, 3)]
    assert sorted(zip(*np.nonzero(told), strict=True)) == sorted(pairs + [p[::-1] for p in pairs])


def test_confirmed_look_alikes_are_those_of_when_the_run_began(workspace: Workspace) -> None:
    catalogue = workspace.catalogue
    ids = catalogue.ids_of_codes()
    store = catalogue.look_alikes

    def confirm(*codes: str) -> None:
        members = tuple(sorted(ids[code] for code in codes))
        store.propose([Proposal(members, 0.9, (None,) * len(members))])
        (group,) = store.in_state(GroupState.PROPOSED)
        store.decide(Choice.CONFIRM_GROUP, group.number)

    codes = sorted(ids)
    confirm(codes[0], codes[1])
    run = begin_adapting(workspace, TINY.model_copy(update={"held_out": 0.0}), "twins")
    confirm(codes[2], codes[3])
    task = task_of(workspace, Split.load(workspace.split_path(run.read().split)), run)
    assert [group.tolist() for group in task.alike_classes] == [[0, 1]]


def test_first_vectors_are_means_without_what_all_have_in_common() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    plain = first_vectors(vectors, np.array([0, 0, 1]), 2, centred=0)
    # (1 + 0.6, 0.8) = (1.6, 0.8), of length 1.789
    assert np.allclose(plain, [[0.8944, 0.4472], [0, 1]], atol=1e-4)
    centred = first_vectors(vectors, np.array([0, 0, 1]), 2, centred=1)
    assert np.allclose(centred.sum(0), 0, atol=1e-6)


def test_averages_lie_between_start_and_end() -> None:
    start = {"w": torch.tensor([1.0, 2.0]), "steps": torch.tensor(3)}
    end = {"w": torch.tensor([5.0, 0.0]), "steps": torch.tensor(9)}
    assert averaged(start, end, 0.25)["w"].tolist() == [2.0, 1.5]  # 1 + 4 / 4, 2 − 2 / 4
    assert averaged(start, end, 0.0)["w"].tolist() == [1.0, 2.0]
    assert averaged(start, end, 1.0)["w"].tolist() == [5.0, 0.0]
    assert averaged(start, end, 0.25)["steps"] == 9


# -- the run ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of five drawn shapes, one picture each, that the light encoder answers for."""
    folder = tmp_path_factory.mktemp("drawn")
    workspace = Workspace.create(folder / "workspace")
    serve_model(workspace.models, LITE.stem)
    fill_with_shapes(workspace, folder / "source", Encoder.load(LITE))
    workspace.catalogue.close()
    return workspace.folder


@pytest.fixture
def workspace(drawn: Path, tmp_path: Path) -> Workspace:
    return Workspace.open(shutil.copytree(drawn, tmp_path / "own"))


def adapted(workspace: Workspace, run: Run, kills: list[int]) -> Outcome:
    """Adapt, killed after so many steps each time."""
    record = run.read()
    task = task_of(workspace, Split.load(workspace.split_path(record.split)), run)
    settings = AdaptSettings.model_validate(record.settings)
    for dies_after in kills:
        with pytest.raises(Killed):
            adapt(task, settings, run, progress=Quiet(dies_after), on_epoch=lambda *_: None)
    adapt(task, settings, run, progress=Quiet(), on_epoch=lambda *_: None)
    return Outcome.read(run)


def test_a_killed_run_ends_as_one_that_was_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setattr("satchel.train.fit.CHECKPOINT_S", 0.0)
    whole, broken = (begin_adapting(workspace, TINY, name) for name in ("whole", "broken"))
    assert adapted(workspace, whole, []) == adapted(workspace, broken, [1, 1])
    for name in ("best.safetensors", "adapted.safetensors"):
        ours, theirs = (load_file(run.folder / name) for run in (whole, broken))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    came = load_file(whole.folder / "start.safetensors")
    ended = load_file(whole.folder / "best.safetensors")
    assert any(not torch.equal(value, ended[f"backbone.{key}"]) for key, value in came.items())


def test_a_fifth_of_the_products_is_held_out(workspace: Workspace) -> None:
    run = begin_adapting(workspace, TINY, "held")
    split = Split.load(workspace.split_path(run.read().split))
    task = task_of(workspace, split, run)
    assert (len(split.products("train")), len(split.products("val"))) == (4, 1)
    assert len(task.held_out) == 1
    assert sorted(task.trained_classes.tolist()) == [0, 1, 2, 3]
    assert task.classes[task.held_out].tolist() == [-1]


def test_too_few_products_are_refused() -> None:
    photos = TrainingPhotos(("a", "b"), np.array([0, 0]), (None,) * 2, lambda _: b"")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="two products"):
        AdaptTask.divided(photos, np.array([0, 1]), 1)


@pytest.mark.parametrize(
    ("chosen", "worse"),
    [
        ({"score": 0.6}, []),
        ({"score": 0.4}, ["score"]),
        ({"score": 0.6, "own1": 0.2, "own5": 0.9}, ["own1"]),
        ({"score": 0.5, "unseen5": 0.1}, ["unseen5"]),
    ],
)
def test_what_is_worse_in_any_check_is_not_served(
    chosen: dict[str, float], worse: list[str]
) -> None:
    start = {"score": 0.5, "own1": 0.3, "own5": 0.9, "unseen5": 0.2}
    assert Outcome(share=0.5, start=start, chosen=chosen).worse == worse


def test_adapt_serve_and_find_a_product_that_came_later(workspace: Workspace) -> None:
    from safetensors.torch import load_file

    from satchel.train.lite0 import builtin_backbone
    from satchel.workflows.promote import promote
    from satchel.workflows.train import go_on

    run = begin_adapting(workspace, TINY, "adapt")
    served = load_file(run.folder / "served.safetensors")  # what it is held against
    light = builtin_backbone().second.state_dict()
    assert all(torch.equal(value, light[name]) for name, value in served.items())
    go_on(workspace, run, progress=Quiet(), trackers=(), on_epoch=lambda *_: None)
    record = json.loads((run.folder / "run.json").read_text())
    assert (record["kind"], record["state"]) == ("adapt", "finished")
    outcome = Outcome.read(run)
    assert outcome.share == TINY.share
    came, kept, best = (
        load_file(run.folder / f"{name}.safetensors") for name in ("start", "adapted", "best")
    )
    for name, value in came.items():  # half way between start and end
        if value.is_floating_point():
            torch.testing.assert_close(kept[name], (value + best[f"backbone.{name}"]) / 2)
    card = promote(workspace, run, on_total=lambda _: lambda _: None)
    assert card.confidence == read_card(LITE).confidence  # compositions do not tell it
    assert serving_card(workspace.models).parent.name == "adapt-fp16"

    # A product that no training saw is found once it is imported and embedded.
    later = workspace.folder / "later" / "stripes"
    later.mkdir(parents=True)
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[::8] = stripes[1::8] = stripes[2::8] = (250, 200, 20)
    (later / "0.jpg").write_bytes(encode_jpeg(stripes, 92))
    encoder = Encoder.load(serving_card(workspace.models))
    fill(workspace, later.parent, encoder)
    found = Identifier.open(workspace).identify(encode_jpeg(stripes[:, 20:], 85))
    assert found.candidates[0].product.code == "stripes"


def test_adapting_again_begins_with_what_adapting_began_with(workspace: Workspace) -> None:
    from safetensors.torch import load_file

    from satchel.adapt.run import served_backbone
    from satchel.train.backbones import Pair
    from satchel.train.lite0 import builtin_backbone
    from satchel.workflows.promote import promote
    from satchel.workflows.train import go_on

    def same(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
        other = theirs.state_dict()
        return all(torch.equal(value, other[key]) for key, value in ours.state_dict().items())

    fresh, _ = served_backbone(workspace)
    assert isinstance(fresh, Pair)
    assert same(fresh, builtin_backbone())
    run = begin_adapting(workspace, TINY, "first")
    go_on(workspace, run, progress=Quiet(), trackers=(), on_epoch=lambda *_: None)
    promote(workspace, run, on_total=lambda _: lambda _: None)
    again, known = served_backbone(workspace)
    assert isinstance(again, Pair)
    assert same(again.first, fresh.first)
    adapted = load_file(run.folder / "adapted.safetensors")
    assert all(torch.equal(v, adapted[k]) for k, v in again.second.state_dict().items())
    assert known["serve_side_px"] == 224
    # What is judged against is what answers now: the pair.
    second = begin_adapting(workspace, TINY, "second")
    go_on(workspace, second, progress=Quiet(), trackers=(), on_epoch=lambda *_: None)
    assert Outcome.read(second).start == Outcome.read(run).chosen
    shutil.rmtree(run.folder)
    with pytest.raises(UsageError, match="no longer"):
        served_backbone(workspace)


def test_a_pair_adds_the_vectors_of_both_and_looks_where_the_first_looks() -> None:
    from satchel.train.backbones import Pair, create
    from satchel.train.export import Exportable

    torch.manual_seed(0)
    first, second = (create("small_cnn", weights="none").eval() for _ in range(2))
    pair = Pair(first, second, share=0.25).eval()
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        vectors, saliency = Exportable(pair)(crops)
        (one, seen), (two, _) = (Exportable(network)(crops) for network in (first, second))
        alone = Exportable(pair.first)(crops)[0]
    added = 0.75 * one + 0.25 * two
    torch.testing.assert_close(vectors, added / added.norm(dim=1, keepdim=True))
    torch.testing.assert_close(saliency, seen)
    torch.testing.assert_close(alone, one)
    assert not torch.allclose(one, two)


def test_time_that_is_left_is_not_spent_on_further_compositions(workspace: Workspace) -> None:
    from satchel.workflows.train import go_on

    settings = TINY.model_copy(update={"minutes": 600.0, "each": 2 * LEAST_REPEATS + 1})
    run = begin_adapting(workspace, settings, "short")
    record = go_on(workspace, run, progress=Quiet(), trackers=(), on_epoch=lambda *_: None)
    assert record.epochs == 2  # of LEAST_REPEATS compositions of each picture


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"score": 0.6}, "satchel promote"),
        ({"score": 0.4}, "not promoted: worse than before: score"),
    ],
)
def test_compositions_alone_promote_nothing(
    workspace: Workspace, chosen: dict[str, float], told: str
) -> None:
    from typer.testing import CliRunner

    from satchel.cli.app import app

    run = begin_adapting(workspace, TINY, "unvouched")
    run.update(state="finished")
    outcome = Outcome(share=0.5, start={"score": 0.5}, chosen=chosen)
    (run.folder / "outcome.json").write_text(outcome.model_dump_json())
    before = serving_card(workspace.models)
    command = ["--workspace", str(workspace.folder), "adapt", "--resume", run.name]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert told in result.output
    assert serving_card(workspace.models) == before
