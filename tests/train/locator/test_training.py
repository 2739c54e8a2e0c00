"""Training a detector: it learns, and a killed run ends with the same weights."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

import torch
from safetensors.torch import load_file

from satchel.errors import UsageError
from satchel.train.batches import Step
from satchel.train.locator.architectures import ARCHITECTURES
from satchel.train.locator.batches import NO_LABEL, detection_batches, is_plain, step_side
from satchel.train.locator.figures import Boxes
from satchel.train.locator.samples import Sample
from satchel.train.locator.training import (
    Detector,
    LocatorTask,
    new_network,
    parameter_groups,
    train_locator,
)
from satchel.train.locator.yolox import SIZES, Size
from satchel.train.runs import Run, new_record
from satchel.train.settings import LocatorSettings
from support.progress import Killed, Killing

CLASSES = ("disc", "bar")
TINY = LocatorSettings(
    epochs=3,
    batch=4,
    side_px=64,
    multi_scale=1,
    plain_share=0.34,
    precision="fp32",
    average=0.9,
    threads=1,
    seed=1,
)


class Drawn:
    """Squares and bars of bright colours on a dark ground, one or two in each photo."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        pixels = rng.integers(0, 40, (80, 96, 3)).astype(np.uint8)
        boxes, labels = [], []
        for left in (0, 48)[: int(rng.integers(1, 3))]:
            label = int(rng.integers(0, 2))
            width, height = (32, 32) if label == 0 else (40, 14)
            x, y = left + int(rng.integers(0, 48 - width)), int(rng.integers(0, 80 - height))
            pixels[y : y + height, x : x + width] = (250, 220, 40) if label == 0 else (40, 80, 250)
            boxes.append((x, y, x + width, y + height))
            labels.append(label)
        return pixels, np.array(boxes, np.float32), np.array(labels)


TASK = LocatorTask(CLASSES, Drawn(8, 1), Drawn(4, 2))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "yolox-nano", Size(0.125, depthwise=True))


def new_run(folder: Path, settings: LocatorSettings) -> Run:
    folder.mkdir()
    return Run.create(folder, new_record("locator", "train locator", settings, "r"))


def curve_of(run: Run, kills: list[int]) -> list[dict[str, float]]:
    """Train, killed once so many photos are done each time; the figures by epoch."""
    settings = run.read().settings_as(LocatorSettings)
    epochs: dict[int, dict[str, float]] = {}
    for at in [*kills, None]:
        with contextlib.suppress(Killed):
            train_locator(TASK, settings, run, progress=Killing(at), on_epoch=epochs.__setitem__)
    return [epochs[epoch] for epoch in sorted(epochs)]


@pytest.mark.parametrize(
    ("architecture", "every_s"), [("yolox-nano", 60.0), ("yolox-nano", 0.0), ("lite0", 0.0)]
)
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, every_s: float
) -> None:
    monkeypatch.setattr("satchel.train.fit.CHECKPOINT_S", every_s)
    settings = TINY.model_copy(update={"architecture": architecture, "weights": "none"})
    whole, broken = new_run(tmp_path / "a", settings), new_run(tmp_path / "b", settings)
    figures = curve_of(whole, kills=[])
    assert curve_of(broken, kills=[4, 12, 20]) == figures
    assert len(figures) == TINY.epochs
    own = {"yolox-nano": "loss_objectness", "lite0": "loss_main"}[architecture]
    assert {"ap", "ap50", "main_iou", "loss_box", "loss_class", own} <= set(figures[0])
    assert "loss_offsets" not in figures[0]
    assert (figures[-1].get("loss_offsets", 0) > 0) is (architecture == "yolox-nano")
    for row in figures:
        parts = sum(value for name, value in row.items() if name.startswith("loss_"))
        assert row["loss"] == pytest.approx(parts, rel=1e-4)
    for name in ("checkpoint", "best"):
        ours, theirs = load_file(getattr(broken, name)), load_file(getattr(whole, name))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


def test_it_learns(tmp_path: Path) -> None:
    """From scratch, in fifty steps: enough to see every part of the loss fall."""
    settings = TINY.model_copy(
        update={"epochs": 6, "mosaic": 0.0, "scales": (0.9, 1.1), "plain_share": 0.0}
    ).model_copy(update={"multi_scale": 0, "learning_rate": 5e-3, "head_rate": 5e-3})
    task = LocatorTask(CLASSES, Drawn(32, 1), Drawn(2, 2))
    figures: dict[int, dict[str, float]] = {}
    run = new_run(tmp_path / "a", settings)
    train_locator(task, settings, run, progress=Killing(), on_epoch=figures.__setitem__)
    for name, share in (("loss", 0.9), ("loss_box", 0.97), ("loss_objectness", 0.9)):
        assert figures[6][name] < share * figures[1][name], name


def test_training_ends_where_nothing_gets_better(tmp_path: Path) -> None:
    settings = TINY.model_copy(
        update={"epochs": 9, "patience": 2, "learning_rate": 1e-9, "head_rate": 1e-9, "average": 0}
    )
    run = new_run(tmp_path / "a", settings)
    figures = curve_of(run, kills=[])
    assert len(figures) == 3  # the first is the best, two more are no better


def test_batches_depend_on_their_step_alone() -> None:
    steps = [Step(1, number, np.arange(4), 64, 9) for number in range(3)]
    all_three = list(detection_batches(TASK.train, TINY, steps))
    (last,) = detection_batches(TASK.train, TINY, steps[2:])
    for ours, theirs in zip(all_three[2].arguments(), last.arguments(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    sides = {step_side(TINY, Step(e, n, np.arange(4), 64, 9)) for e in range(6) for n in range(4)}
    assert sides == {64, 96}  # never less than two of the coarsest cells
    assert [is_plain(TINY, Step(e, 0, np.arange(4), 64, 9)) for e in range(9)] == [False] * 6 + [
        True
    ] * 3
    assert not is_plain(TINY, Step(0, 0, np.arange(4), 64))  # while it is measured


@pytest.mark.parametrize(("stage", "depths"), [("head", 1), ("partial", 2), ("full", 7)])
def test_stages_train_so_much_of_the_network(stage: str, depths: int) -> None:
    settings = TINY.model_copy(update={"stage": stage, "layer_decay": 0.5})
    architecture = ARCHITECTURES[settings.architecture]
    detector = Detector(new_network(TASK, settings), architecture.objective([1.0, 1.0]))
    groups = parameter_groups(architecture, detector, settings)
    peaks = [group["peak"] for group in groups[::2]]
    assert peaks == [settings.head_rate, *(1e-3 * 0.5**n for n in range(6))][:depths]
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in detector.parameters() if p.requires_grad}


class MainFirst(Drawn):
    """Their first box is the main one, though the rule would choose another in some."""

    main_first = True


@pytest.mark.parametrize("samples", [Drawn(24, 3), MainFirst(24, 3)])
def test_batches_say_which_box_is_the_main_one(samples: Drawn) -> None:
    settings = TINY.model_copy(update={"mosaic": 0.0, "scales": (1.0, 1.0), "multi_scale": 0})
    (batch,) = detection_batches(samples, settings, [Step(0, 0, np.arange(24), 64, 9)])
    others = 0
    for at, place in enumerate(batch.mains):
        _, boxes, labels = samples[at]
        wanted = 0
        if not isinstance(samples, MainFirst):
            ruled = Boxes.true(boxes / np.array([96, 80] * 2), labels).main_place()
            assert ruled is not None
            wanted = ruled
        # At this scale every box stays, in its order.
        assert place == wanted
        others += wanted != Boxes.true(boxes / np.array([96, 80] * 2), labels).main_place()
    assert (others > 0) is isinstance(samples, MainFirst)
    (mosaics,) = detection_batches(
        samples,
        settings.model_copy(update={"mosaic": 1.0}),
        [Step(0, 0, np.arange(4), 64, 9)],
    )
    assert mosaics.mains.tolist() == [NO_LABEL] * 4


@pytest.mark.parametrize(
    ("task", "changes", "said"),
    [
        (LocatorTask(CLASSES, Drawn(0, 1), Drawn(1, 1)), {}, "to train on, got none"),
        (LocatorTask((), Drawn(1, 1), Drawn(1, 1)), {}, "at least one class"),
        (TASK, {"class_weights": {"sock": 2.0}}, "class_weights names sock"),
        (TASK, {"side_px": 100}, "multiples of 32"),
        (TASK, {"weights": "nowhere.onnx"}, r"nowhere\.onnx"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    tmp_path: Path, task: LocatorTask, changes: dict[str, object], said: str
) -> None:
    settings = TINY.model_copy(update=changes)
    run = new_run(tmp_path / "a", settings)
    with pytest.raises(UsageError, match=said):
        train_locator(task, settings, run, progress=Killing(), on_epoch=lambda *_: None)
