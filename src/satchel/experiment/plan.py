"""The plan of an experiment: its cells in order, with epochs and estimated times. Without torch.

A cell is a data set, a backbone and a method. Every fine-tuned cell gets the same training time, or
less where it needs less for the maximum of epochs: methods on one data set are compared at equal
cost, and a small data set gets more epochs than a large one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from pydantic import Field

from satchel.experiment.settings import ExperimentSettings
from satchel.train.settings import STAGES, ClassifierSettings, EncoderSettings, TrainSettings
from satchel.train.splits import Protocol
from satchel.validation import StrictModel

UNTRAINED: Final = "untrained"
"""The zero-shot baseline: a backbone without training."""

OVERHEAD_S: Final = 10.0
"""Estimated time of a cell besides encoder passes and training steps."""

RESERVE: Final = 0.1
"""Share of the time that is not planned for, since estimates are inexact."""

Kind = Literal["classifier", "encoder", "untrained"]


class Dataset(StrictModel):
    """A data set, frozen by a split; numbers of photos and products."""

    name: str = Field(description="such as 81x50, or unseen-81x50")
    split: str
    split_hash: str
    protocol: Protocol
    products: int
    photos_per_product: int | None = Field(description="training photos at most; None: all")
    train: int
    val: int
    test: int
    test_products: int


class Costs(StrictModel):
    """Measured cost of a backbone on this machine, in seconds per photo.

    Attributes:
        encode_s: encoder pass of two crops, decoding included.
        step_s: training step.
    """

    encode_s: float = Field(ge=0)
    step_s: float = Field(ge=0)


class Cell(StrictModel):
    """One cell of the tables, and the run that fills it.

    Attributes:
        method: a stage (of a classifier), a loss (of an encoder), or "untrained".
        epochs: 0 where only a head is fitted, or nothing.
        seconds: estimated time.
    """

    dataset: str
    backbone: str
    method: str
    epochs: int = 0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Unique within the experiment."""
        return f"{self.dataset}-{self.backbone}-{self.method}"

    @property
    def kind(self) -> Kind:
        """What is trained."""
        if self.method == UNTRAINED:
            return "untrained"
        return "classifier" if self.method in STAGES else "encoder"

    @property
    def fine_tuned(self) -> bool:
        """Whether it trains for epochs."""
        return self.method not in (UNTRAINED, "head")

    def settings(self, common: ExperimentSettings) -> TrainSettings:
        """Settings of its run."""
        own = {
            "backbone": self.backbone,
            "weights": common.weights.get(self.backbone, "auto"),
            "epochs": max(1, self.epochs),
        }
        if self.kind == "classifier":
            return common.of_run(ClassifierSettings, **own, stage=self.method)
        options = common.options.get(self.method, {})
        return common.of_run(EncoderSettings, **own, loss=self.method, options=options)


class Plan(StrictModel):
    """An experiment before it is run; frozen in a file.

    Attributes:
        weights: backbone → origin of its initial weights.
    """

    name: str
    settings: ExperimentSettings
    weights: dict[str, str]
    datasets: tuple[Dataset, ...]
    cells: tuple[Cell, ...]

    def dataset(self, cell: Cell) -> Dataset:
        """The data set of a cell."""
        return next(dataset for dataset in self.datasets if dataset.name == cell.dataset)


def make_cells(
    settings: ExperimentSettings, classify: Iterable[str], embed: Iterable[str]
) -> tuple[Cell, ...]:
    """Every cell in the order in which they are run: those that need no fine-tuning first.

    Args:
        classify, embed: names of the data sets of classifiers and of encoders.
    """
    cells = [
        Cell(dataset=dataset, backbone=backbone, method=method)
        for names, methods in (
            (classify, settings.stages),
            (embed, (UNTRAINED, *settings.losses)),
        )
        for dataset in names
        for backbone in dict.fromkeys(settings.backbones)
        for method in dict.fromkeys(methods)
    ]
    return tuple(sorted(cells, key=lambda cell: cell.fine_tuned))


def schedule(
    cells: Sequence[Cell],
    datasets: Mapping[str, Dataset],
    costs: Mapping[str, Costs],
    *,
    seconds: float,
    max_epochs: int,
) -> tuple[Cell, ...]:
    """Set epochs and estimated time of each cell, so that all together take about `seconds`.

    Every fine-tuned cell gets at least one epoch.
    """
    fixed = {c.name: fixed_seconds(c, datasets[c.dataset], costs[c.backbone]) for c in cells}
    epoch = {c.name: epoch_seconds(c, datasets[c.dataset], costs[c.backbone]) for c in cells}
    left = max(0.0, seconds - sum(fixed.values()))
    epochs = dict.fromkeys(fixed, 0)
    tuned = sorted((c.name for c in cells if c.fine_tuned), key=epoch.__getitem__)
    for at, name in enumerate(tuned):
        share = min(max_epochs * epoch[name], left / (len(tuned) - at))
        left -= share
        # Rounding errors of `left` must not give methods on one data set different epochs.
        epochs[name] = max(1, int(share / epoch[name] + 1e-6)) if epoch[name] else max_epochs
    return tuple(
        cell.model_copy(
            update={
                "epochs": epochs[cell.name],
                "seconds": fixed[cell.name] + epochs[cell.name] * epoch[cell.name],
            }
        )
        for cell in cells
    )


def epoch_seconds(cell: Cell, dataset: Dataset, costs: Costs) -> float:
    """Estimated time of an epoch and its validation."""
    if not cell.fine_tuned:
        return 0.0
    if cell.kind == "classifier":  # validation by four crops
        validation = 2 * dataset.val
    else:
        validation = dataset.val + (dataset.train if dataset.protocol == "closed" else 0)
    return dataset.train * costs.step_s + validation * costs.encode_s


def fixed_seconds(cell: Cell, dataset: Dataset, costs: Costs) -> float:
    """Estimated time of all but the epochs: frozen features, a head, evaluation."""
    if cell.kind == "classifier":
        photos = 2 * (dataset.train + dataset.val + dataset.test)
    else:
        photos = dataset.train + dataset.test
    return OVERHEAD_S + photos * costs.encode_s
