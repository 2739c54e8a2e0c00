"""The seed's programme as a plan: which runs, on which photos, for how long. Pure, without torch.

A cell of its tables is a data set, a backbone and a method. Time is shared out so that every cell
that is fine-tuned gets the same, or less where it needs no more: methods on one data set are then
compared at one cost, and a small data set gets more epochs than a large one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from satchel.evaluate.report import Figure
from satchel.train.settings import (
    STAGES,
    ClassifierSettings,
    DataSize,
    EncoderSettings,
    ExperimentSettings,
    FitSettings,
)
from satchel.train.splits import Protocol

UNTRAINED: Final = "untrained"
"""The method that trains nothing: a backbone as it came."""

OVERHEAD_S: Final = 5.0
"""Of a cell: making the network, telling trackers, intervals, a report."""

HELD_BACK: Final = 0.1
"""Share of the budget that is not shared out: estimates are off, and there is a page to write."""

Kind = Literal["classifier", "encoder", "untrained"]
State = Literal["done", "stopped", "failed"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataFacts(_Record):
    """A data set as it was found; counts of photos.

    Attributes:
        name: as asked for, such as 81x50, with the products there are; of unseen products, so
            many on both sides together, unseen-81x50.
        split: name of the file that freezes it.
        drawn: photos that an epoch of an encoder sees: so many of each product in every batch.
        tested: products of the test part.
    """

    name: str
    split: str
    split_hash: str
    protocol: Protocol
    products: int
    photos_each: int | None = Field(description="training photos of a product, at most")
    train: int
    drawn: int
    val: int
    test: int
    tested: int


class Costs(_Record):
    """What a backbone costs on this machine, in seconds as measured.

    Attributes:
        features_s: of a photo: four crops for a classifier, decoding included.
        look_s: of a photo: two crops for an encoder, decoding included.
        step_s: of a photo in a training step.
        head_s: of fitting a head on frozen features, with the most products.
    """

    features_s: float = Field(ge=0)
    look_s: float = Field(ge=0)
    step_s: float = Field(ge=0)
    head_s: float = Field(ge=0)


class Cell(_Record):
    """One cell of the tables, and the run that fills it.

    Attributes:
        method: a stage (a classifier), a loss (an encoder), or "untrained".
        epochs: of training; 0 where only a head is fitted, or nothing.
        seconds: that it is expected to take.
    """

    data: str
    backbone: str
    method: str
    epochs: int = 0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """What it is called, within its experiment."""
        return f"{self.data}-{self.backbone}-{self.method}"

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

    def settings(self, common: ExperimentSettings) -> FitSettings:
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


class Plan(_Record):
    """An experiment before it begins; frozen in a file as it does.

    Attributes:
        weights: backbone → where its weights come from, in words.
        costs: backbone → what it costs.
    """

    name: str
    settings: ExperimentSettings
    weights: dict[str, str]
    costs: dict[str, Costs]
    data: tuple[DataFacts, ...]
    cells: tuple[Cell, ...]

    def lasting(self, minutes: float) -> Plan:
        """The same with another budget; its cells stay as they were planned."""
        settings = self.settings.model_copy(update={"minutes": minutes})
        return self.model_copy(update={"settings": settings})

    def unseen(self, cell: Cell) -> bool:
        """Whether it is tested on products that it was not trained on."""
        return self.facts(cell.data).protocol == "open"

    def facts(self, name: str) -> DataFacts:
        """The facts of a data set."""
        return next(data for data in self.data if data.name == name)


class CellResult(_Record):
    """What came of a cell.

    Attributes:
        run: name of its run; None where nothing was trained.
        why: it is not done, in words.
        seconds: spent on it so far, evaluation included.
        score: of the best epoch on the validation part: what models are chosen by.
        figures: of the test part, looked at once.
    """

    state: State
    run: str | None = None
    why: str = ""
    seconds: float = 0.0
    epochs: float = 0.0
    score: float | None = None
    figures: tuple[Figure, ...] = ()

    def figure(self, name: str) -> Figure | None:
        """A figure by name; None where it was not measured."""
        return next((figure for figure in self.figures if figure.name == name), None)


class Results(_Record):
    """What came of an experiment so far. Cells that were not begun are missing."""

    spent_s: float = Field(0.0, description="all resumptions together")
    cells: dict[str, CellResult] = {}

    def of(self, cell: Cell) -> CellResult | None:
        """What came of a cell that is done; None of any other."""
        found = self.cells.get(cell.name)
        return found if found is not None and found.state == "done" else None


# -- data sets -------------------------------------------------------------------------------------


def as_there_are(wanted: Sequence[DataSize], products: int) -> tuple[DataSize, ...]:
    """Data sets with at most so many products, each once, in the order asked for."""
    found = (
        DataSize(products=min(size.products or products, products), photos=size.photos)
        for size in wanted
    )
    return tuple(dict.fromkeys(found))


# -- cells -----------------------------------------------------------------------------------------


def cells_of(
    settings: ExperimentSettings, classify: Iterable[str], embed: Iterable[str]
) -> tuple[Cell, ...]:
    """Every cell in the order in which they are run: what trains nothing or a head comes first.

    Args:
        classify, embed: names of the data sets of classifiers and of encoders.
    """
    cells = [
        Cell(data=data, backbone=backbone, method=method)
        for names, methods in (
            (classify, settings.stages),
            (embed, (UNTRAINED, *settings.losses)),
        )
        for data in names
        for backbone in settings.backbones
        for method in dict.fromkeys(methods)
    ]
    return tuple(sorted(cells, key=lambda cell: cell.fine_tuned))


# -- time ------------------------------------------------------------------------------------------


def epoch_seconds(cell: Cell, data: DataFacts, costs: Costs) -> float:
    """Time of an epoch: its steps, and its validation."""
    if not cell.fine_tuned:
        return 0.0
    if cell.kind == "classifier":
        return data.train * costs.step_s + data.val * costs.features_s
    searched = data.train if data.protocol == "closed" else 0
    return data.drawn * costs.step_s + (data.val + searched) * costs.look_s


def fixed_seconds(cell: Cell, data: DataFacts, costs: Costs) -> float:
    """Time of all that is done once: beginning, frozen features and a head, the evaluation."""
    if cell.kind == "classifier":
        photos = data.train + data.val + data.test
        return OVERHEAD_S + photos * costs.features_s + costs.head_s
    return OVERHEAD_S + (data.train + data.test) * costs.look_s


def shared_out(
    cells: Sequence[Cell],
    data: Mapping[str, DataFacts],
    costs: Mapping[str, Costs],
    *,
    seconds: float,
    most_epochs: int,
) -> tuple[Cell, ...]:
    """Give cells their epochs: as many as fit into a time that is the same for all.

    That time is the longest with which all of them together take no more than `seconds`; each
    cell that is fine-tuned gets one epoch at least, whatever that takes.
    """
    epoch = [epoch_seconds(cell, data[cell.data], costs[cell.backbone]) for cell in cells]
    fixed = [fixed_seconds(cell, data[cell.data], costs[cell.backbone]) for cell in cells]

    def planned(each_s: float) -> tuple[Cell, ...]:
        found = []
        for cell, once, one in zip(cells, fixed, epoch, strict=True):
            epochs = 0
            if cell.fine_tuned:
                fitting = int(each_s / one) if one > 0 else most_epochs
                epochs = max(1, min(most_epochs, fitting))
            time = once + epochs * one
            found.append(cell.model_copy(update={"epochs": epochs, "seconds": time}))
        return tuple(found)

    low, high = 0.0, max(epoch, default=0.0) * most_epochs
    if total(planned(high)) <= seconds:
        return planned(high)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if total(planned(middle)) <= seconds else (low, middle)
    return planned(low)


def total(cells: Sequence[Cell]) -> float:
    """Time that cells are expected to take, in seconds."""
    return sum(cell.seconds for cell in cells)


def that_fit(cells: Sequence[Cell], seconds: float) -> tuple[str, ...]:
    """Names of the cells that a time holds, taken in turn: one that does not fit is passed over."""
    names, left = [], seconds
    for cell in cells:
        if cell.seconds <= left:
            names.append(cell.name)
            left -= cell.seconds
    return tuple(names)
