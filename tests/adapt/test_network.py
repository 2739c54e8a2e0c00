"""Adapting the light encoder: interpolation, a killed run, and the whole workflow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import fill, fill_with_shapes
from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import GroupState, Proposal
from satchel.encode.card import LITE
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serve_model, serving_card
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.progress import SILENT
from satchel.workspace import Workspace
from support.stub_encoder import by_saliency

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    # torch's TorchScript exporter warns of itself; it is the one that folds batch norms
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

import torch

from satchel.adapt.interpolation import interpolated
from satchel.adapt.network import LEAST_REPEATS, adapt_network
from satchel.adapt.outcome import Outcome
from satchel.adapt.settings import AdaptSettings, NetworkSettings
from satchel.train.runs import Run
from satchel.train.splits import Split
from satchel.workflows.adapt import begin_adapting
from satchel.workflows.tasks import adapt_task
from support.progress import Killed, Killing

TINY = AdaptSettings(
    minutes=None,
    n_val_queries=4,
    val_share=0.2,
    threads=1,
    network=NetworkSettings(
        side_px=64, batch=4, epochs=1, per_epoch=8, learning_rate=1e-3, average=0.5
    ),
)


def test_interpolated_weights_lie_between_start_and_end() -> None:
    start = {"w": torch.tensor([1.0, 2.0]), "steps": torch.tensor(3)}
    end = {"w": torch.tensor([5.0, 0.0]), "steps": torch.tensor(9)}
    assert interpolated(start, end, 0.25)["w"].tolist() == [2.0, 1.5]  # 1 + 4 / 4, 2 − 2 / 4
    assert interpolated(start, end, 0.0)["w"].tolist() == [1.0, 2.0]
    assert interpolated(start, end, 1.0)["w"].tolist() == [5.0, 0.0]
    assert interpolated(start, end, 0.25)["steps"] == 9


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
    """Adapt, killed once so many photos are done each time."""
    record = run.read()
    task = adapt_task(workspace, Split.load(workspace.split_path(record.split)), run)
    settings = AdaptSettings.model_validate(record.settings)
    for at in kills:
        with pytest.raises(Killed):
            adapt_network(task, settings, run, progress=Killing(at), on_epoch=lambda *_: None)
    adapt_network(task, settings, run, progress=SILENT, on_epoch=lambda *_: None)
    return Outcome.read(run)


def test_a_killed_run_ends_as_one_that_was_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setattr("satchel.train.fit.CHECKPOINT_S", 0.0)
    whole, broken = (begin_adapting(workspace, TINY, name) for name in ("whole", "broken"))
    assert adapted(workspace, whole, []) == adapted(workspace, broken, [8, 12])
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
    task = adapt_task(workspace, split, run)
    assert (len(split.products("train")), len(split.products("val"))) == (4, 1)
    assert len(task.val_products) == 1
    assert sorted(task.trained_classes.tolist()) == [0, 1, 2, 3]
    assert task.classes[task.val_products].tolist() == [-1]


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
    run = begin_adapting(workspace, TINY.model_copy(update={"val_share": 0.0}), "twins")
    confirm(codes[2], codes[3])
    task = adapt_task(workspace, Split.load(workspace.split_path(run.read().split)), run)
    assert [group.tolist() for group in task.look_alike_classes] == [[0, 1]]


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
    assert Outcome(start=start, adapted=chosen).worse == worse


def test_adapt_serve_and_find_a_product_that_came_later(workspace: Workspace) -> None:
    from safetensors.torch import load_file

    from satchel.train.lite0 import builtin_backbone
    from satchel.workflows.promote import promote_run
    from satchel.workflows.train import resume

    workspace = by_saliency(workspace)
    run = begin_adapting(workspace, TINY, "adapt")
    served = load_file(run.folder / "served.safetensors")  # what it is held against
    light = builtin_backbone().second.state_dict()
    assert all(torch.equal(value, light[name]) for name, value in served.items())
    resume(workspace, run, progress=SILENT, on_epoch=lambda *_: None)
    record = json.loads((run.folder / "run.json").read_text())
    assert (record["kind"], record["state"]) == ("adapt_network", "finished")
    came, kept, best = (
        load_file(run.folder / f"{name}.safetensors") for name in ("start", "adapted", "best")
    )
    for name, value in came.items():  # half way between start and end
        if value.is_floating_point():
            torch.testing.assert_close(kept[name], (value + best[f"backbone.{name}"]) / 2)
    card = promote_run(workspace, run, progress=SILENT)
    assert not card.confidence.measured  # by synthetic photos it cannot be
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

    from satchel.train.backbones import Pair
    from satchel.train.lite0 import builtin_backbone
    from satchel.workflows.adapt import served_backbone
    from satchel.workflows.promote import promote_run
    from satchel.workflows.train import resume

    def same(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
        other = theirs.state_dict()
        return all(torch.equal(value, other[key]) for key, value in ours.state_dict().items())

    fresh, _ = served_backbone(workspace)
    assert isinstance(fresh, Pair)
    assert same(fresh, builtin_backbone())
    run = begin_adapting(workspace, TINY, "first")
    resume(workspace, run, progress=SILENT, on_epoch=lambda *_: None)
    promote_run(workspace, run, progress=SILENT)
    again, known = served_backbone(workspace)
    assert isinstance(again, Pair)
    assert same(again.first, fresh.first)
    adapted = load_file(run.folder / "adapted.safetensors")
    assert all(torch.equal(v, adapted[k]) for k, v in again.second.state_dict().items())
    assert known.side_px == 224
    # What is judged against is what answers now: the pair.
    second = begin_adapting(workspace, TINY, "second")
    resume(workspace, second, progress=SILENT, on_epoch=lambda *_: None)
    assert Outcome.read(second).start == Outcome.read(run).adapted
    shutil.rmtree(run.folder)
    with pytest.raises(UsageError, match="no longer"):
        served_backbone(workspace)


def test_a_pair_adds_both_vectors_and_has_the_saliency_of_the_first() -> None:
    from satchel.train.backbones import Pair
    from satchel.train.export import Exportable
    from satchel.train.pretrained import create

    torch.manual_seed(0)
    first, second = (create("small_cnn", weights="none").eval() for _ in range(2))
    pair = Pair(first, second, weight=0.25).eval()
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


def test_time_that_is_left_is_not_spent_on_further_synthetic_photos(workspace: Workspace) -> None:
    from satchel.workflows.train import resume

    network = TINY.network.model_copy(update={"max_per_photo": 2 * LEAST_REPEATS + 1})
    settings = TINY.model_copy(update={"minutes": 600.0, "network": network})
    run = begin_adapting(workspace, settings, "short")
    record = resume(workspace, run, progress=SILENT, on_epoch=lambda *_: None)
    assert record.epochs == 2  # of LEAST_REPEATS synthetic photos of each


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"score": 0.6}, "satchel promote"),
        ({"score": 0.4}, "not promoted: worse than before: score"),
    ],
)
def test_synthetic_photos_alone_promote_nothing(
    workspace: Workspace, chosen: dict[str, float], told: str
) -> None:
    from typer.testing import CliRunner

    from satchel.cli.app import app

    run = begin_adapting(workspace, TINY, "unvouched")
    run.update(state="finished")
    outcome = Outcome(start={"score": 0.5}, adapted=chosen)
    (run.folder / "outcome.json").write_text(outcome.model_dump_json())
    before = serving_card(workspace.models)
    command = ["--workspace", str(workspace.folder), "adapt", "--resume", run.name]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert told in result.output
    assert serving_card(workspace.models) == before
