"""The plan of an experiment: its cells, their settings, epochs and times."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.experiment.datasets import available_sizes
from satchel.experiment.plan import (
    UNTRAINED,
    Cell,
    Costs,
    Dataset,
    epoch_seconds,
    fixed_seconds,
    make_cells,
    schedule,
)
from satchel.experiment.settings import DatasetSize, ExperimentSettings


def dataset(name: str, photos: int, protocol: str = "closed") -> Dataset:
    return Dataset(
        name=name,
        split=f"e-{name}",
        split_hash="0" * 64,
        protocol=protocol,
        products=10,
        photos_per_product=None,
        train=photos,
        val=photos // 10,
        test=photos // 5,
        test_products=10,
    )


def test_sizes_are_limited_to_the_products_there_are_and_listed_once() -> None:
    wanted = [DatasetSize.model_validate(t) for t in ("81x50", "286x50", "480x50", "829x10")]

    def sizes(products: int) -> list[str]:
        return [str(size) for size in available_sizes(wanted, products)]

    assert sizes(1000) == ["81x50", "286x50", "480x50", "829x10"]
    assert sizes(300) == ["81x50", "286x50", "300x50", "300x10"]
    assert sizes(81) == ["81x50", "81x10"]
    everything = [DatasetSize.model_validate("allx5")]
    assert [str(size) for size in available_sizes(everything, 7)] == ["7x5"]


def test_there_is_one_cell_for_every_method_data_set_and_backbone() -> None:
    chosen = ExperimentSettings(
        backbones=("a", "b"), stages=("head", "full"), losses=("triplet", "margin")
    )
    cells = make_cells(chosen, ["81x50"], ["10xall", "81x50", "unseen-81x50"])
    assert len({cell.name for cell in cells}) == len(cells)
    # Two networks: two stages on one data set, and two losses and the baseline on three.
    assert len(cells) == 2 * (2 + 3 * 3)
    assert [cell.fine_tuned for cell in cells] == sorted(cell.fine_tuned for cell in cells)
    kinds = {(cell.method, cell.kind) for cell in cells}
    assert kinds == {
        (UNTRAINED, "untrained"),
        ("head", "classifier"),
        ("full", "classifier"),
        ("triplet", "encoder"),
        ("margin", "encoder"),
    }


def test_a_cell_has_the_common_settings_and_its_own() -> None:
    common = ExperimentSettings(
        weights={"resnet18": "none"},
        options={"triplet": {"mining": "hard"}},
        fit={"side_px": 96, "mix": 0.5, "photos_each": 3, "label_smoothing": 0.2},
    )
    classifier = Cell(dataset="d", backbone="resnet18", method="partial", epochs=4)
    assert (
        classifier.settings(common).model_dump().items()
        >= {
            "backbone": "resnet18",
            "weights": "none",
            "stage": "partial",
            "epochs": 4,
            "side_px": 96,
            "mix": 0.5,
            "label_smoothing": 0.2,
        }.items()
    )
    encoder = Cell(dataset="d", backbone="other", method="triplet", epochs=4).settings(common)
    assert encoder.mix == 0  # only classifiers mix photos
    assert encoder.weights == "auto"
    assert (
        encoder.model_dump().items()
        >= {"loss": "triplet", "options": {"mining": "hard"}, "photos_each": 3}.items()
    )


DATA = {name: dataset(name, photos) for name, photos in {"s": 300, "m": 3000, "l": 30000}.items()}
DATA["unseen"] = dataset("unseen", 2_000, "open")
CELLS = make_cells(ExperimentSettings(), ["s", "m", "l"], ["s", "m", "unseen"])
BACKBONE = ExperimentSettings().backbones[0]
costs = st.builds(Costs, encode_s=st.floats(1e-4, 0.1), step_s=st.floats(1e-4, 0.3))


def planned(cost: Costs, seconds: float, max_epochs: int) -> tuple[Cell, ...]:
    return schedule(CELLS, DATA, {BACKBONE: cost}, seconds=seconds, max_epochs=max_epochs)


def total(cells: tuple[Cell, ...]) -> float:
    return sum(cell.seconds for cell in cells)


@settings(max_examples=60, deadline=None)
@given(cost=costs, seconds=st.floats(1, 100_000), most=st.integers(1, 40))
def test_the_plan_takes_no_more_than_the_time_or_an_epoch_each(
    cost: Costs, seconds: float, most: int
) -> None:
    cells = planned(cost, seconds, most)
    assert [cell.name for cell in cells] == [cell.name for cell in CELLS]
    least = total(planned(cost, 0, most))
    tuned = [cell for cell in cells if cell.fine_tuned]
    longer = [cell for cell in tuned if cell.epochs > 1]
    if len(longer) == len(tuned):
        assert total(cells) <= seconds * (1 + 1e-5)
    assert total(cells) <= max(seconds, 0) + least
    for cell in cells:
        assert cell.epochs == 0 if not cell.fine_tuned else 1 <= cell.epochs <= most
        data = DATA[cell.dataset]
        expected = fixed_seconds(cell, data, cost) + cell.epochs * epoch_seconds(cell, data, cost)
        assert cell.seconds == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(cost=costs, seconds=st.floats(1, 100_000))
def test_methods_on_one_data_set_get_the_same_epochs(cost: Costs, seconds: float) -> None:
    cells = planned(cost, seconds, 30)
    for data in DATA:
        assert len({c.epochs for c in cells if c.dataset == data and c.kind == "encoder"}) <= 1
    more = planned(cost, 2 * seconds, 30)
    assert all(b.epochs >= a.epochs for a, b in zip(cells, more, strict=True))


def test_the_time_is_used() -> None:
    """What is left is less than an epoch of every cell, and small data sets get more epochs."""
    cost = Costs(encode_s=0.001, step_s=0.01)
    cells = planned(cost, 3_600, 10_000)
    tuned = [cell for cell in cells if cell.fine_tuned]
    left = 3_600 - total(cells)
    assert 0 <= left < sum(epoch_seconds(cell, DATA[cell.dataset], cost) for cell in tuned)
    small, large = (
        next(c for c in cells if c.dataset == data and c.method == "full") for data in ("s", "l")
    )
    assert small.epochs > 50 * large.epochs


def test_time_that_a_cell_does_not_need_goes_to_the_others() -> None:
    cost = Costs(encode_s=0, step_s=0.01)
    cells = schedule(
        [Cell(dataset=data, backbone=BACKBONE, method="full") for data in ("s", "l")],
        DATA,
        {BACKBONE: cost},
        seconds=2 * 10 + 10 * 3 + 3 * 300,  # overhead; 10 epochs of the small, 3 of the large
        max_epochs=10,
    )
    assert [cell.epochs for cell in cells] == [10, 3]
