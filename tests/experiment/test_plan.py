"""The plan of an experiment: which cells there are, and that their time is the budget's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from satchel.experiment.plan import (
    UNTRAINED,
    Cell,
    Costs,
    DataFacts,
    as_there_are,
    cells_of,
    epoch_seconds,
    fixed_seconds,
    shared_out,
    that_fit,
    total,
)
from satchel.train.settings import DataSize, ExperimentSettings


def size(text: str) -> DataSize:
    return DataSize.model_validate(text)


def facts(name: str, photos: int, protocol: str = "closed") -> DataFacts:
    return DataFacts(
        name=name,
        split=f"e-{name}",
        split_hash="0" * 64,
        protocol=protocol,  # type: ignore[arg-type]
        products=10,
        photos_each=None,
        train=photos,
        drawn=photos,
        val=photos // 10,
        test=photos // 5,
        tested=10,
    )


def test_sizes_are_written_as_they_are_read() -> None:
    for text in ("81x50", "allx10", "81xall"):
        assert str(size(text)) == text
        assert size(size(text).model_dump_json().strip('"')) == size(text)
    for wrong in ("81", "81x", "x50", "81×50", "0x10", "1x10", "5x0", "ten x 3"):
        with pytest.raises(ValidationError):
            size(wrong)


def test_what_there_is_not_becomes_what_there_is_once() -> None:
    wanted = [size(text) for text in ("81x50", "286x50", "480x50", "829x10")]
    assert [str(s) for s in as_there_are(wanted, 1000)] == [str(s) for s in wanted]
    assert [str(s) for s in as_there_are(wanted, 300)] == ["81x50", "286x50", "300x50", "300x10"]
    assert [str(s) for s in as_there_are(wanted, 81)] == ["81x50", "81x10"]
    assert [str(s) for s in as_there_are([size("allx5")], 7)] == ["7x5"]


def test_every_method_meets_every_data_set_and_backbone_once() -> None:
    chosen = ExperimentSettings(
        backbones=("a", "b"), stages=("head", "full"), losses=("triplet", "margin")
    )
    cells = cells_of(chosen, ["81x50"], ["10xall", "81x50", "unseen-81x50"])
    assert len({cell.name for cell in cells}) == len(cells)
    # Two networks: two stages on one data set, and two losses and none at all on three.
    assert len(cells) == 2 * (2 + 3 * 3)
    assert [cell.fine_tuned for cell in cells] == sorted(cell.fine_tuned for cell in cells)
    kinds = {(cell.method, cell.kind) for cell in cells}
    assert (UNTRAINED, "untrained") in kinds
    assert ("head", "classifier") in kinds
    assert ("margin", "encoder") in kinds


def test_a_cell_is_a_run_with_what_all_have_in_common() -> None:
    common = ExperimentSettings(
        weights={"resnet18": "none"},
        options={"triplet": {"mining": "hard"}},
        fit={"side_px": 96, "mix": 0.5, "photos_each": 3, "label_smoothing": 0.2},
    )
    classifier = Cell(data="d", backbone="resnet18", method="partial", epochs=4).settings(common)
    assert (
        classifier.model_dump().items()
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
    encoder = Cell(data="d", backbone="other", method="triplet", epochs=4).settings(common)
    assert encoder.mix == 0  # losses on vectors do not know blended photos
    assert encoder.weights == "auto"
    assert (
        encoder.model_dump().items()
        >= {
            "loss": "triplet",
            "options": {"mining": "hard"},
            "photos_each": 3,
        }.items()
    )


@pytest.mark.parametrize(
    ("fit", "complaint"),
    [
        ({"minutes": 3}, "each run's own"),
        ({"sidepx": 96}, "no run has"),
        ({"side_px": 9}, "side_px"),
        ({"label_smoothing": 2}, "label_smoothing"),
    ],
)
def test_settings_that_no_run_could_have_are_refused(fit: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ExperimentSettings(fit=fit)


DATA = {name: facts(name, photos) for name, photos in {"s": 300, "m": 3_000, "l": 30_000}.items()}
DATA["unseen"] = facts("unseen", 2_000, "open")
CELLS = cells_of(ExperimentSettings(), ["s", "m", "l"], ["s", "m", "unseen"])
BACKBONE = ExperimentSettings().backbones[0]
costs = st.builds(
    Costs,
    features_s=st.floats(1e-4, 0.1),
    look_s=st.floats(1e-4, 0.1),
    step_s=st.floats(1e-4, 0.3),
    head_s=st.floats(0, 60),
)


@settings(max_examples=60, deadline=None)
@given(cost=costs, seconds=st.floats(1, 100_000), most=st.integers(1, 40))
def test_no_more_is_shared_out_than_there_is(cost: Costs, seconds: float, most: int) -> None:
    planned = shared_out(CELLS, DATA, {BACKBONE: cost}, seconds=seconds, most_epochs=most)
    assert [cell.name for cell in planned] == [cell.name for cell in CELLS]
    least = shared_out(CELLS, DATA, {BACKBONE: cost}, seconds=0, most_epochs=most)
    assert total(planned) <= max(seconds, total(least) * (1 + 1e-9))
    for cell in planned:
        assert cell.epochs == 0 if not cell.fine_tuned else 1 <= cell.epochs <= most
        data = DATA[cell.data]
        expected = fixed_seconds(cell, data, cost) + cell.epochs * epoch_seconds(cell, data, cost)
        assert cell.seconds == pytest.approx(expected)
    names = that_fit(planned, seconds)
    assert sum(cell.seconds for cell in planned if cell.name in names) <= seconds + 1e-6


@settings(max_examples=60, deadline=None)
@given(cost=costs, seconds=st.floats(1, 100_000))
def test_methods_on_one_data_set_get_the_same(cost: Costs, seconds: float) -> None:
    planned = shared_out(CELLS, DATA, {BACKBONE: cost}, seconds=seconds, most_epochs=30)
    for data in DATA:
        encoders = {c.epochs for c in planned if c.data == data and c.kind == "encoder"}
        assert len(encoders) <= 1
    more = shared_out(CELLS, DATA, {BACKBONE: cost}, seconds=2 * seconds, most_epochs=30)
    assert all(b.epochs >= a.epochs for a, b in zip(planned, more, strict=True))


def test_the_time_is_used() -> None:
    """Enough for one epoch of the largest: what is left over is less than an epoch of any cell."""
    cost = Costs(features_s=0.001, look_s=0.001, step_s=0.01, head_s=1)
    planned = shared_out(CELLS, DATA, {BACKBONE: cost}, seconds=3_600, most_epochs=10_000)
    tuned = [cell for cell in planned if cell.fine_tuned]
    left = 3_600 - total(planned)
    assert 0 <= left < sum(epoch_seconds(cell, DATA[cell.data], cost) for cell in tuned)
    small, large = (
        next(c for c in planned if c.data == data and c.method == "full") for data in ("s", "l")
    )
    assert small.epochs > 50 * large.epochs


def test_one_that_does_not_fit_is_passed_over_for_one_that_does() -> None:
    cells = [
        Cell(data="d", backbone="b", method=method, seconds=seconds)
        for method, seconds in (("head", 5), ("full", 50), ("triplet", 4), ("margin", 2))
    ]
    assert that_fit(cells, 10) == ("d-b-head", "d-b-triplet")
