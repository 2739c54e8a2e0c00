"""The loop: goes on after a kill to the very same weights, and does what its settings say."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import SHAPES, draw
from satchel.errors import UsageError
from satchel.images import encode_jpeg
from satchel.records import WHOLE_PHOTO

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

import torch
from accelerate import Accelerator

from satchel.train.batches import Batch, TrainingPhotos
from satchel.train.classifier import ClassifierTask, load_classifier, train_classifier
from satchel.train.fit import CHECKPOINT_S
from satchel.train.fitting import Trainable
from satchel.train.runs import Run, new_record
from satchel.train.schedule import parameter_groups, set_rates, side_of_epoch
from satchel.train.settings import ClassifierSettings, FitSettings
from support.progress import Killed, Killing

NAMES = tuple(SHAPES)[:3]
TINY = ClassifierSettings(
    backbone="small_cnn",
    weights="none",
    epochs=3,
    batch=4,
    side_px=64,
    first_side_px=32,
    precision="fp32",
    learning_rate=3e-3,
    mix=0.5,
    average=0.9,
    threads=1,
    seed=1,
)


def photos(seeds: range) -> TrainingPhotos:
    data = {f"{name}{seed}": encode_jpeg(draw(name, seed), 90) for name in NAMES for seed in seeds}
    labels = np.array([NAMES.index(key.rstrip("0123456789")) for key in data])
    return TrainingPhotos(tuple(data), labels, (WHOLE_PHOTO,) * len(data), data.__getitem__)


@pytest.fixture(autouse=True)
def _quick_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satchel.train.classifier.HEAD_STEPS", 50)


@pytest.fixture(scope="module")
def task() -> ClassifierTask:
    return ClassifierTask(NAMES, photos(range(5)), photos(range(5, 7)))


def new_run(folder: Path, settings: ClassifierSettings) -> Run:
    (folder / "runs").mkdir(exist_ok=True)
    record = new_record("classifier", "train classifier", settings, "r")
    run = Run.create(folder / "runs", record)
    from satchel.train.classifier import write_products

    write_products(run, NAMES)
    return run


def curve_of(task: ClassifierTask, run: Run, kills: list[int]) -> list[dict[str, float]]:
    """Train, killed once so many photos are done each time; the figures by epoch."""
    settings = ClassifierSettings.model_validate(run.read().settings)
    epochs: dict[int, dict[str, float]] = {}
    for at in [*kills, None]:
        with contextlib.suppress(Killed):
            train_classifier(task, settings, run, progress=Killing(at), on_epoch=epochs.__setitem__)
    return [epochs[epoch] for epoch in sorted(epochs)]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


@pytest.mark.parametrize("every_s", [CHECKPOINT_S, 0.0], ids=["by epoch", "every step"])
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    task: ClassifierTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_s: float
) -> None:
    monkeypatch.setattr("satchel.train.fit.CHECKPOINT_S", every_s)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, broken = new_run(tmp_path / "a", TINY), new_run(tmp_path / "b", TINY)
    figures = curve_of(task, whole, kills=[])
    assert curve_of(task, broken, kills=[8, 20, 28]) == figures
    assert len(figures) == TINY.epochs
    for name in ("checkpoint", "best"):
        ours, theirs = tensors(getattr(broken, name)), tensors(getattr(whole, name))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


@pytest.mark.parametrize("faster", ["fp32", "bf16"])
def test_the_faster_precision_is_measured_once_and_leaves_no_trace(
    task: ClassifierTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    from satchel.train import measure

    now, measured = 0.0, []
    really = measure._forward_backward

    def timed(
        accelerator: Accelerator, model: torch.nn.Module, batch: Batch, precision: str
    ) -> None:
        nonlocal now
        really(accelerator, model, batch, precision)
        measured.append(precision)
        now += 1 if precision == faster else 2

    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(measure, "time", clock)
    monkeypatch.setattr(measure, "_forward_backward", timed)
    settings = TINY.model_copy(update={"epochs": 1, "precision": "auto"})
    asked = TINY.model_copy(update={"epochs": 1, "precision": faster})
    for name in "ab":
        (tmp_path / name).mkdir()
    auto, plain = new_run(tmp_path / "a", settings), new_run(tmp_path / "b", asked)
    figures = curve_of(task, auto, kills=[4, 12])
    assert measured == ["fp32", "bf16"] * measure.PRECISION_ROUNDS  # never again after a kill
    assert figures == curve_of(task, plain, kills=[])
    ours, theirs = tensors(auto.checkpoint), tensors(plain.checkpoint)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_it_learns_and_is_read_back(task: ClassifierTask, tmp_path: Path) -> None:
    from satchel.train.classifier import validate

    settings = TINY.model_copy(update={"epochs": 8, "recipe": "none", "mix": 0.0})
    run = new_run(tmp_path, settings)
    figures = curve_of(task, run, kills=[])
    assert figures[-1]["loss"] < figures[0]["loss"]
    model, products, _ = load_classifier(run)
    assert products == NAMES
    best = max(row["score"] for row in figures)
    assert validate(model, task.val, settings)["score"] == pytest.approx(best, abs=1e-5)


def test_the_head_alone_leaves_the_backbone_unchanged(task: ClassifierTask, tmp_path: Path) -> None:
    from satchel.train.pretrained import create

    settings = TINY.model_copy(update={"stage": "head", "backbone": "efficientnet_lite0"})
    settings = settings.model_copy(update={"weights": "auto", "side_px": 96})
    run = new_run(tmp_path, settings)
    (figures,) = curve_of(task, run, kills=[])
    assert figures["top1"] == 1.0  # drawn bags of three shapes, on ImageNet's features
    model, _, _ = load_classifier(run)
    came = create("efficientnet_lite0").network.state_dict()
    assert all(
        torch.equal(value, came[key]) for key, value in model.backbone.network.state_dict().items()
    )


def test_rates_warm_up_and_go_down_to_zero() -> None:
    optimizer = SimpleNamespace(param_groups=[{"peak": 2.0}])
    settings = FitSettings(warmup=0.1)
    rates = []
    for step in range(100):
        set_rates(optimizer, step, 100, settings)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[9] == max(rates) == 2.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01
    assert rates[55] == pytest.approx(2 * 0.5 * (1 + math.cos(math.pi * 45 / 90)))


def test_sides_grow_in_steps_and_end_at_the_last() -> None:
    settings = FitSettings(side_px=224, first_side_px=128)
    sides = [side_of_epoch(settings, epoch, 20) for epoch in range(20)]
    assert sides == sorted(sides)
    assert (sides[0], sides[-1]) == (128, 224)
    assert sides.count(224) >= 5
    assert all(side % 32 == 0 for side in sides)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "small_cnn"])
@pytest.mark.parametrize(("stage", "trained"), [("head", 0.0), ("partial", 0.6), ("full", 1.0)])
def test_stages_train_so_much_of_the_backbone(name: str, stage: str, trained: float) -> None:
    from satchel.train.classifier import Head
    from satchel.train.pretrained import create

    settings = TINY.model_copy(update={"backbone": name, "stage": stage, "layer_decay": 0.5})
    backbone = create(settings.backbone, weights="none")
    model = Trainable(backbone, Head(backbone.dimension, 3, settings))
    groups = parameter_groups(model, settings)
    total = sum(p.numel() for p in backbone.parameters())
    share = sum(p.numel() for p in backbone.parameters() if p.requires_grad) / total
    assert share == pytest.approx(trained, abs=0.35 if stage == "partial" else 0)
    assert {id(p) for g in groups for p in g["params"]} == {
        id(p) for p in model.parameters() if p.requires_grad
    }
    peaks = [g["peak"] for g in groups]
    assert max(peaks[:-1], default=0) <= settings.learning_rate
    assert peaks[-1] == settings.head_rate


def test_a_loss_that_is_no_number_ends_the_run_with_advice(
    task: ClassifierTask, tmp_path: Path
) -> None:
    settings = TINY.model_copy(update={"learning_rate": 1e30, "head_rate": 1e30, "warmup": 0.0})
    with pytest.raises(UsageError, match="lower the learning rates"):
        curve_of(task, new_run(tmp_path, settings), kills=[])
