"""An experiment as a whole, tiny: all of its cells, stopped and gone on with, its page."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from conftest import SHAPES, fill, jpeg
from satchel.cli.app import app
from satchel.encode.encoder import Encoder
from satchel.errors import UsageError
from satchel.workspace import Workspace

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

from satchel.experiment.plan import Cell, CellResult, Results, that_fit
from satchel.experiment.run import (
    Experiment,
    prepare,
    run_experiment,
    write_page,
)
from satchel.train.runs import Run, all_runs
from satchel.train.settings import ExperimentSettings
from satchel.train.splits import Split

SETTINGS = ExperimentSettings.model_validate(
    {
        "classify": ["3x2", "5x50", "99xall"],
        "embed": ["3x2"],
        "unseen": ["allx50"],
        "backbones": ["small_cnn"],
        "stages": ["full"],
        "losses": ["triplet"],
        "val": 0.2,
        "test": 0.2,
        "unseen_test": 0.4,
        "fewest_photos": 4,
        "fit": {
            "epochs": 2,
            "side_px": 32,
            "batch": 4,
            "photos_each": 2,
            "precision": "fp32",
            "recipe": "none",
            "threads": 1,
        },
    }
)


class Killed(BaseException):
    """Stands for a signal."""


class Told:
    """Remembers which cells were begun and what came of them; dies where it is told to."""

    def __init__(self, dies_in: str | None = None, after: int = 0) -> None:
        self.dies_in, self.after = dies_in, after
        self.begun: list[str] = []
        self.stages: list[str] = []
        self.results: list[CellResult] = []

    def cell(self, number: int, cell: Cell, left_s: float) -> None:
        self.begun.append(cell.name)

    def result(self, cell: Cell, result: CellResult) -> None:
        self.results.append(result)

    def begin(self, what: str, total: int, done: int = 0) -> None:
        self.stages.append(what)

    def advance(self, photos: int) -> None:
        if self.begun and self.begun[-1] == self.dies_in and self.stages[-1] == "train":
            self.after -= 1
            if self.after < 0:
                raise Killed


@pytest.fixture(scope="module", autouse=True)
def _quick_heads() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("satchel.train.classifier.HEAD_STEPS", 20)
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Workspace:
    """Five products with six photos each."""
    folder = tmp_path_factory.mktemp("shop")
    with (folder / "catalogue.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("code", "photo"))
        for shape in SHAPES:
            for seed in range(6):
                name = f"{shape}{seed}.jpg"
                (folder / name).write_bytes(jpeg(shape, seed, (96, 96)))
                writer.writerow((shape, name))
    workspace = Workspace.create(folder / "workspace")
    fill(workspace, folder / "catalogue.csv", encoder)
    return workspace


def begun(shop: Workspace, name: str, settings: ExperimentSettings = SETTINGS) -> Experiment:
    experiment = Experiment.named(shop, name)
    prepare(shop, name, settings, Told()).freeze(shop, experiment)
    return experiment


@pytest.fixture(scope="module")
def whole(shop: Workspace) -> Experiment:
    """An experiment that nothing interrupted."""
    experiment = begun(shop, "whole")
    run_experiment(shop, experiment, teller=Told())
    return experiment


def figures(results: Results) -> dict[str, Any]:
    return {name: (found.figures, found.score) for name, found in results.cells.items()}


def test_the_plan_is_made_of_what_there_is(shop: Workspace, whole: Experiment) -> None:
    plan = whole.plan()
    # 99 products are the 5 there are, and no product has so many photos that a cap would matter.
    assert [data.name for data in plan.data] == ["3x2", "5x50", "unseen-5x50"]
    assert plan.weights == {"small_cnn": "none: trained from scratch"}
    small, large, unseen = (Split.load(shop.split_path(data.split)) for data in plan.data)
    assert set(small.products()) < set(large.products())
    assert set(small.test) < set(large.test)
    assert max(sum(code == of for of, _ in small.train) for code in small.products()) == 2
    assert not set(unseen.products("train")) & set(unseen.products("test"))
    assert all(
        min(cost) > 0 for cost in [list(c.model_dump().values()) for c in plan.costs.values()]
    )


def test_every_cell_is_a_run_and_is_tested_once(shop: Workspace, whole: Experiment) -> None:
    plan, results = whole.plan(), whole.results()
    assert all(results.of(cell) for cell in plan.cells)
    runs = {run.name: run.read() for run in all_runs(shop.runs)}
    trained = [cell for cell in plan.cells if cell.kind != "untrained"]
    assert {f"whole-{cell.name}" for cell in trained} <= set(runs)
    assert all(runs[f"whole-{cell.name}"].state == "finished" for cell in trained)
    looks = [
        json.loads(line)["run"]
        for data in plan.data
        for line in shop.split_path(data.split).with_suffix(".looks.jsonl").read_text().splitlines()
    ]
    assert len(looks) == len(plan.cells)
    assert sorted(name for name in looks if name in runs) == sorted(
        f"whole-{cell.name}" for cell in trained
    )
    for cell in plan.cells:
        names = {figure.name for figure in results.cells[cell.name].figures}
        assert {"Top-1", "Top-2", "Top-3", "Top-5"} <= names
        assert ("Recall@1, Mahalanobis" in names) == (cell.kind != "classifier")


def test_what_is_finished_is_not_done_again(shop: Workspace, whole: Experiment) -> None:
    before, told = whole.results(), Told()
    assert run_experiment(shop, whole, teller=told).cells == before.cells
    assert told.begun == []


@pytest.mark.parametrize("after", [0, 2])
def test_killed_in_a_cell_it_ends_as_if_it_had_not_been(
    shop: Workspace, whole: Experiment, after: int
) -> None:
    experiment = begun(shop, f"killed{after}")
    dies_in = "5x50-small_cnn-full"
    told = Told(dies_in, after)
    with pytest.raises(Killed):
        run_experiment(shop, experiment, teller=told)
    left = experiment.results()
    assert left.cells[dies_in].state == "stopped"
    assert left.spent_s > 0
    assert Run(shop.runs / f"{experiment.folder.name}-{dies_in}").state() == "crashed"
    again = Told()
    results = run_experiment(shop, experiment, teller=again)
    assert again.begun == [cell.name for cell in experiment.plan().cells][len(told.begun) - 1 :]
    assert figures(results) == figures(whole.results())
    assert results.spent_s > left.spent_s


class Clock:
    """Seconds that pass only when somebody reports."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_ends_on_time_and_goes_on_with_more(shop: Workspace, whole: Experiment) -> None:
    experiment = begun(shop, "late", SETTINGS.model_copy(update={"minutes": 2.0}))
    clock = Clock()

    class Slow(Told):
        def advance(self, photos: int) -> None:
            clock.now += 30 if self.stages[-1] == "train" else 0

    told = Slow()
    results = run_experiment(shop, experiment, teller=told, clock=clock)
    assert 120 <= clock.now <= 150  # the step in which the time was up is done
    stopped = [name for name, found in results.cells.items() if found.state == "stopped"]
    assert told.begun[-1:] == stopped
    assert results.cells[stopped[0]].why == "the time was up"
    assert Run(shop.runs / f"late-{stopped[0]}").state() == "stopped"
    assert len(told.begun) < len(experiment.plan().cells)
    page = write_page(shop, experiment, experiment.plan(), results).read_text()
    assert "Not run" in page
    assert "the time was up" in page
    assert "not begun" in page
    experiment.write(experiment.plan().lasting(60))
    done = run_experiment(shop, experiment, teller=Told())
    assert figures(done) == figures(whole.results())


def test_what_goes_faster_than_planned_makes_room(shop: Workspace, whole: Experiment) -> None:
    experiment = begun(shop, "fast")
    plan = experiment.plan()
    minutes = 1.5 * plan.cells[0].seconds / 60
    experiment.write(plan.lasting(minutes))
    assert len(that_fit(plan.cells, 60 * minutes)) == 1
    experiment.write(Results())
    told = Told()
    run_experiment(shop, experiment, teller=told, clock=Clock())
    assert len(told.begun) > 2


def test_a_cell_that_fails_is_told_and_the_others_go_on(shop: Workspace) -> None:
    chosen = SETTINGS.model_copy(update={"classify": (), "unseen": ()})
    experiment = begun(shop, "failing", chosen)
    taken = Run(shop.runs / "failing-3x2-small_cnn-triplet")
    other = next(run for run in all_runs(shop.runs) if run.name.startswith("whole-5x50"))
    taken.folder.mkdir()
    taken.write(other.read().model_copy(update={"name": taken.name}))
    results = run_experiment(shop, experiment, teller=Told())
    assert results.cells["3x2-small_cnn-triplet"].state == "failed"
    assert "trained otherwise" in results.cells["3x2-small_cnn-triplet"].why
    assert results.cells["3x2-small_cnn-untrained"].state == "done"


def test_a_name_that_is_taken_by_another_split_is_refused(shop: Workspace) -> None:
    other = Experiment.named(shop, "taken")
    begun(shop, "taken", SETTINGS.model_copy(update={"classify": (), "losses": ("triplet",)}))
    with pytest.raises(UsageError, match="another split"):
        prepare(shop, "taken", SETTINGS.model_copy(update={"seed": 1}), Told()).freeze(shop, other)
    with pytest.raises(UsageError, match="split's name"):
        Experiment.named(shop, "../out")


def test_the_page_holds_the_seeds_figures_and_ours(shop: Workspace, whole: Experiment) -> None:
    page = write_page(shop, whole, whole.plan(), whole.results()).read_text()
    for seed in ("70.7 %", "82.3 %", "86.6 %", "88.9 %", "87.3 %", "39.0 %", "829 × 10"):
        assert seed in page
    assert "The data differ" in page
    ours = whole.results().cells["5x50-small_cnn-full"].figure("Top-2")
    assert ours is not None
    assert f"{100 * ours.value:.1f} %" in page
    assert 'href="../../whole-5x50-small_cnn-full/test/report.html"' in page
    assert (whole.folder / "../../whole-5x50-small_cnn-full/test/report.html").exists()
    assert "Not run" not in page


# -- the command -----------------------------------------------------------------------------------


def seed_protocol(shop: Workspace, *arguments: str) -> Result:
    command = ["--workspace", str(shop.folder), "experiment", "seed-protocol", *arguments]
    return CliRunner().invoke(app, command)


def test_a_dry_run_tells_the_plan_and_writes_nothing(shop: Workspace, tmp_path: Path) -> None:
    config = tmp_path / "plan.toml"
    config.write_text(
        'classify = ["allx3"]\nembed = []\nunseen = []\nlosses = []\nminutes = 90\n'
        "val = 0.2\nfewest_photos = 4\n"
        '[fit]\nside_px = 32\nbatch = 4\nthreads = 1\nprecision = "fp32"\n'
    )
    before = {path.name for path in shop.runs.iterdir()}
    told = seed_protocol(
        shop,
        "--name=dry",
        "--dry-run",
        f"--config={config}",
        "--backbone=small_cnn",
        "--stage=full",
        "--set=epochs=3",
    )
    assert told.exit_code == 0, told.output
    row = next(line for line in told.output.splitlines() if "small_cnn" in line and "5x3" in line)
    assert [cell.strip() for cell in row.split("│")[1:5]] == ["5x3", "full", "small_cnn", "3"]
    assert "trained from scratch" in told.output
    assert {path.name for path in shop.runs.iterdir()} == before
    assert not shop.split_path("dry-5x3").exists()


def test_the_same_command_goes_on_and_other_settings_do_not(
    shop: Workspace, whole: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = seed_protocol(shop, "--name=whole", "--tracker=none")
    assert told.exit_code == 0, told.output
    assert str(whole.folder / "report.html") in told.output
    refused = seed_protocol(shop, "--name=whole", "--loss=margin")
    assert isinstance(refused.exception, UsageError)
    assert "planned otherwise" in str(refused.exception)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("satchel.experiment.run.run_experiment", interrupted)
    stopped = seed_protocol(shop, "--name=whole")
    assert stopped.exit_code == 130
    assert "go on with: satchel experiment seed-protocol --name whole" in stopped.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--classify=81",), "such as 81x50"),
        (("--loss=tripplet",), "triplet"),
        (("--stage=whole",), "stages"),
        (("--set=sidepx=3",), "no run has a setting sidepx"),
        (("--set=fewest_photos=99",), "fewest_photos"),
        (("--column=nothing",), "nothing"),
        (("--name=../out",), "split's name"),
    ],
)
def test_wrong_wishes_are_told_plainly(
    shop: Workspace, arguments: tuple[str, ...], complaint: str
) -> None:
    refused = seed_protocol(shop, "--name=wrong", "--dry-run", *arguments)
    assert isinstance(refused.exception, UsageError)
    assert complaint in str(refused.exception)
