"""A tiny experiment: all of its cells, interrupted and resumed, its page, its command."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from conftest import SHAPES, fill, jpeg
from satchel.cli.app import app
from satchel.encode.encoder import Encoder
from satchel.errors import UsageError
from satchel.workspace import Workspace

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

from satchel.experiment.plan import Cell
from satchel.experiment.prepare import prepare
from satchel.experiment.run import run_experiment, write_page
from satchel.experiment.settings import ExperimentSettings
from satchel.experiment.store import CellResult, Experiment, Results
from satchel.train.runs import Run, all_runs
from satchel.train.splits import Split
from support.progress import Killed
from support.stub_encoder import serve_stub

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


class Recorder:
    """Records progress; raises Killed in a cell after so many training steps."""

    def __init__(self, dies_in: str | None = None, after: int = 0) -> None:
        self.dies_in, self.after = dies_in, after
        self.begun: list[str] = []
        self.stage = ""

    def begin_cell(self, number: int, cell: Cell, seconds_left: float) -> None:
        self.begun.append(cell.name)

    def end_cell(self, cell: Cell, result: CellResult) -> None:
        pass

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        self.stage = stage

    def advance(self, count: int = 1) -> None:
        if self.begun and self.begun[-1] == self.dies_in and self.stage == "train":
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
    workspace = serve_stub(Workspace.create(folder / "workspace"))
    fill(workspace, folder / "catalogue.csv", encoder)
    return workspace


def planned(shop: Workspace, name: str, settings: ExperimentSettings = SETTINGS) -> Experiment:
    experiment = Experiment.named(shop, name)
    prepare(shop, name, settings, Recorder()).write(shop, experiment)
    return experiment


@pytest.fixture(scope="module")
def whole(shop: Workspace) -> Experiment:
    """An experiment that nothing interrupted."""
    experiment = planned(shop, "whole")
    run_experiment(shop, experiment, progress=Recorder())
    return experiment


def figures(results: Results) -> dict[str, Any]:
    return {name: (found.figures, found.score) for name, found in results.items()}


def test_the_plan_is_made_of_what_the_catalogue_has(shop: Workspace, whole: Experiment) -> None:
    plan = whole.plan()
    # 99 products are the 5 there are, and no product has so many photos that a limit matters.
    assert [dataset.name for dataset in plan.datasets] == ["3x2", "5x50", "unseen-5x50"]
    assert plan.weights == {"small_cnn": "none: trained from scratch"}
    small, large, unseen = (Split.load(shop.split_path(d.split)) for d in plan.datasets)
    assert set(small.products()) < set(large.products())
    assert set(small.test) < set(large.test)
    assert max(sum(code == of for of, _ in small.train) for code in small.products()) == 2
    assert not set(unseen.products("train")) & set(unseen.products("test"))
    assert all(0 < cell.seconds < 600 for cell in plan.cells)


def test_every_cell_is_a_run_and_is_tested_once(shop: Workspace, whole: Experiment) -> None:
    plan, results = whole.plan(), whole.results()
    assert list(results) == [cell.name for cell in plan.cells]
    runs = {run.name: run.read() for run in all_runs(shop.runs)}
    trained = [cell for cell in plan.cells if cell.kind != "untrained"]
    assert all(runs[f"whole-{cell.name}"].state == "finished" for cell in trained)
    looks = [
        json.loads(line)["run"]
        for dataset in plan.datasets
        for line in shop.split_path(dataset.split)
        .with_suffix(".evaluations.jsonl")
        .read_text()
        .splitlines()
    ]
    assert len(looks) == len(plan.cells)
    assert sorted(name for name in looks if name in runs) == sorted(
        f"whole-{cell.name}" for cell in trained
    )
    for cell in plan.cells:
        names = {figure.name for figure in results[cell.name].figures}
        assert {"Top-1", "Top-2", "Top-3", "Top-5"} <= names
        assert ("Recall@1, Mahalanobis" in names) == (cell.kind != "classifier")
        assert ("Top-1, softmax head" in names) == (cell.kind == "classifier")


def test_finished_cells_are_skipped(shop: Workspace, whole: Experiment) -> None:
    before, progress = whole.results(), Recorder()
    assert run_experiment(shop, whole, progress=progress) == before
    assert progress.begun == []


def test_a_killed_experiment_ends_as_one_that_was_not(shop: Workspace, whole: Experiment) -> None:
    experiment = planned(shop, "killed")
    dies_in = "5x50-small_cnn-full"
    progress = Recorder(dies_in, after=2)
    with pytest.raises(Killed):
        run_experiment(shop, experiment, progress=progress)
    assert dies_in not in experiment.results()
    assert Run(shop.runs / f"{experiment.folder.name}-{dies_in}").state() == "crashed"
    again = Recorder()
    results = run_experiment(shop, experiment, progress=again)
    assert again.begun == [c.name for c in experiment.plan().cells][len(progress.begun) - 1 :]
    assert figures(results) == figures(whole.results())


def test_it_ends_on_time_and_is_resumed(shop: Workspace) -> None:
    chosen = SETTINGS.model_copy(update={"embed": (), "unseen": ()})
    experiment = planned(shop, "late", chosen)
    now = 0.0

    class Slow(Recorder):
        def advance(self, count: int = 1) -> None:
            nonlocal now
            now += 30 if self.stage == "train" else 0

    progress = Slow()
    results = run_experiment(shop, experiment, progress=progress, seconds=60, clock=lambda: now)
    assert 60 <= now <= 90  # the step in which the time was up is finished
    stopped = progress.begun[-1]
    assert stopped not in results
    assert Run(shop.runs / f"late-{stopped}").state() == "stopped"
    page = write_page(shop, experiment).read_text()
    assert "Not finished" in page
    assert "no time was left" in page
    again = Recorder()
    done = run_experiment(shop, experiment, progress=again)
    assert again.begun[0] == stopped
    assert list(done) == [cell.name for cell in experiment.plan().cells]


def test_a_cell_that_fails_does_not_stop_the_others(shop: Workspace, whole: Experiment) -> None:
    chosen = SETTINGS.model_copy(update={"classify": (), "unseen": ()})
    experiment = planned(shop, "failing", chosen)
    taken = Run(shop.runs / "failing-3x2-small_cnn-triplet")
    other = next(run for run in all_runs(shop.runs) if run.name.startswith("whole-5x50"))
    taken.folder.mkdir()
    taken.write(other.read().model_copy(update={"name": taken.name}))
    results = run_experiment(shop, experiment, progress=Recorder())
    assert "has other settings" in results["3x2-small_cnn-triplet"].error
    assert results["3x2-small_cnn-untrained"].figures
    again = Recorder()
    run_experiment(shop, experiment, progress=again)
    assert again.begun == ["3x2-small_cnn-triplet"]


def test_a_name_that_another_split_has_is_refused(shop: Workspace) -> None:
    chosen = SETTINGS.model_copy(update={"classify": (), "losses": ("triplet",)})
    taken = planned(shop, "taken", chosen)
    other = prepare(shop, "taken", SETTINGS.model_copy(update={"seed": 1}), Recorder())
    with pytest.raises(UsageError, match="another split"):
        other.write(shop, taken)
    with pytest.raises(UsageError, match="split's name"):
        Experiment.named(shop, "../out")


def test_the_page_shows_the_seeds_figures_and_ours(shop: Workspace, whole: Experiment) -> None:
    page = write_page(shop, whole).read_text()
    for seed in ("70.7 %", "82.3 %", "86.6 %", "88.9 %", "87.3 %", "39.0 %", "829 × 10"):
        assert seed in page
    assert "The data differ" in page
    ours = whole.results()["5x50-small_cnn-full"].figure("Top-2, softmax head")
    assert ours is not None
    assert f"{100 * ours.value:.1f} %" in page
    assert 'href="../../whole-5x50-small_cnn-full/test/report.html"' in page
    assert (whole.folder / "../../whole-5x50-small_cnn-full/test/report.html").exists()
    assert "Not finished" not in page


# -- the command -----------------------------------------------------------------------------------


def seed_protocol(shop: Workspace, *arguments: str) -> Result:
    command = ["--workspace", str(shop.folder), "experiment", "seed-protocol", *arguments]
    return CliRunner().invoke(app, command)


def test_a_dry_run_prints_the_plan_and_writes_nothing(shop: Workspace, tmp_path: Path) -> None:
    config = tmp_path / "plan.toml"
    config.write_text(
        'classify = ["allx3"]\nembed = []\nunseen = []\nlosses = []\nminutes = 90\n'
        "val = 0.2\nfewest_photos = 4\n"
        '[fit]\nside_px = 32\nbatch = 4\nthreads = 1\nprecision = "fp32"\n'
    )
    before = {path.name for path in shop.runs.iterdir()}
    run = seed_protocol(
        shop,
        "--name=dry",
        "--dry-run",
        f"--config={config}",
        "--backbone=small_cnn",
        "--stage=full",
        "--set=epochs=3",
    )
    assert run.exit_code == 0, run.output
    row = next(line for line in run.output.splitlines() if "small_cnn" in line and "5x3" in line)
    assert [cell.strip() for cell in row.split("│")[1:5]] == ["5x3", "full", "small_cnn", "3"]
    assert "trained from scratch" in run.output
    assert {path.name for path in shop.runs.iterdir()} == before
    assert not shop.split_path("dry-5x3").exists()


def test_the_same_command_resumes_and_other_settings_do_not(
    shop: Workspace, whole: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = seed_protocol(shop, "--name=whole", "--tracker=none")
    assert run.exit_code == 0, run.output
    assert str(whole.folder / "report.html") in run.output
    refused = seed_protocol(shop, "--name=whole", "--loss=margin")
    assert isinstance(refused.exception, UsageError)
    assert "has other settings" in str(refused.exception)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("satchel.experiment.run.run_experiment", interrupted)
    stopped = seed_protocol(shop, "--name=whole")
    assert stopped.exit_code == 130
    assert "resume with: satchel experiment seed-protocol --name whole" in stopped.output


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_wrong_options_are_refused(
    shop: Workspace, arguments: tuple[str, ...], message: str
) -> None:
    refused = seed_protocol(shop, "--name=wrong", "--dry-run", *arguments)
    assert isinstance(refused.exception, UsageError)
    assert message in str(refused.exception)
