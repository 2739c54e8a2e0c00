"""Training by the command line: split, train, kill, resume, compare, evaluate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

from satchel.workspace import Workspace
from support.cli import satchel
from support.stub_encoder import serve_stub

MAISON = Path(__file__).resolve().parents[2] / "examples" / "maison"
QUICK = (
    "--backbone=small_cnn",
    "--set=threads=1",
    "--set=side_px=64",
    "--set=batch=8",
    "--set=precision=fp32",
)
SMALL = ("--set=side_px=128",)
PLAIN = ("--set=threads=1", "--tracker=none")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered catalogue, imported and split; the stub encoder finds the boxes."""
    folder = tmp_path_factory.mktemp("house")
    serve_stub(Workspace.create(folder)).catalogue.close()
    for arguments in (
        ("import", str(MAISON / "catalogue.csv")),
        ("index",),
        ("split", "default", "--val", "0.25", "--test", "0.25"),
    ):
        done = satchel(folder, *arguments)
        assert done.returncode == 0, done.stderr
    return folder


def test_a_split_is_frozen(house: Path) -> None:
    done = satchel(house, "split", "default")
    assert done.returncode == 2
    assert "never changed" in done.stderr
    done = satchel(house, "split", "../out")
    assert done.returncode == 2
    assert "split's name" in done.stderr


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("sent", "shown", "tracker"),
    [
        (signal.SIGKILL, "crashed", "none"),
        (signal.SIGINT, "stopped", "mlflow"),
        (signal.SIGTERM, "stopped", "none"),
    ],
)
def test_the_state_of_an_interrupted_run_is_shown(
    house: Path, sent: signal.Signals, shown: str, tracker: str
) -> None:
    if tracker != "none":
        pytest.importorskip(tracker, reason=f"needs the {tracker} extra")
    name = f"ended-{sent.name}"
    command = [
        sys.executable,
        "-m",
        "satchel",
        "--workspace",
        str(house),
        "train",
        "classifier",
        f"--name={name}",
        "--epochs=200",
        f"--tracker={tracker}",
        *QUICK,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    curves = house / "runs" / name / "curves.jsonl"
    deadline = time.monotonic() + 120
    while not curves.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "running" in satchel(house, "runs", name).stdout
    second = satchel(house, "train", "classifier", f"--resume={name}")
    assert second.returncode == 2
    assert "running in another process" in second.stderr
    process.send_signal(sent)
    process.communicate()
    told = satchel(house, "runs", name)
    assert shown in told.stdout
    assert f"satchel train classifier --resume {name}" in told.stderr
    record = house / "runs" / name / "run.json"
    known = json.loads(record.read_text())
    assert known["epochs"] >= 1
    assert set(known["trackers"]) == {tracker} - {"none"}


def test_train_compare_and_evaluate(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satchel.train.classifier.HEAD_STEPS", 300)
    done = satchel(house, "train", "classifier", "--name=head", "--stage=head", *SMALL, *PLAIN)
    assert done.returncode == 0, done.stderr
    done = satchel(
        house, "train", "encoder", "--name=near", "--loss=margin", "--epochs=2", *QUICK, *PLAIN
    )
    assert done.returncode == 0, done.stderr
    told = satchel(house, "runs", "head", "near", "--sort=top1", "--compare").stdout
    assert told.index("head") < told.index("near")
    assert "small_cnn" in told
    for run in ("head", "near"):
        done = satchel(house, "evaluate", run)
        assert done.returncode == 0, done.stderr
        assert "Top-5" in done.stdout
        page = (house / "runs" / run / "test" / "report.html").read_text()
        assert "art of the split" in page
    again = satchel(house, "train", "classifier", "--resume=head")
    assert (again.returncode, "is finished" in again.stderr) == (0, True)
    for words, complaint in (
        (("classifier", "--resume=head", "--epochs=9"), "leave out --epochs"),
        (("encoder", "--resume=head"), "satchel train classifier --resume head"),
    ):
        done = satchel(house, "train", *words)
        assert (done.returncode, complaint in done.stderr) == (2, True)
    evaluations = (house / "splits" / "default.evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"] for line in evaluations] == ["head", "near"]
    figures = json.loads((house / "runs" / "head" / "test" / "report.json").read_text())
    top1 = next(f["value"] for f in figures["figures"] if f["name"] == "Top-1")
    assert top1 >= 0.9  # twelve rendered models, unseen photos of them


def test_a_split_without_validation_photos_is_refused(house: Path) -> None:
    assert satchel(house, "split", "bare", "--val", "0").returncode == 0
    done = satchel(house, "train", "classifier", "--split=bare", "--tracker=none", *QUICK)
    assert done.returncode == 2
    assert "no photos to choose" in done.stderr
    assert not list((house / "runs").glob("efficientnet*"))  # nothing is listed as crashed


@pytest.mark.slow
def test_two_processes_make_one_run(house: Path) -> None:
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "satchel")
    words = ("train", "classifier", "--name=both", "--tracker=none", "--epochs=2", *QUICK)
    done = subprocess.run(
        [sys.executable, *launch, "--workspace", str(house), *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (house / "runs").glob("both*")] == ["both"]
    record = json.loads((house / "runs" / "both" / "run.json").read_text())
    assert (record["state"], record["epochs"]) == ("finished", 2)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--loss=tripplet",), "triplet"),
        (("--loss=triplet", "--option=minning=all"), "mining"),
        (("--set=epoch=3",), "epoch: there is no such setting, did you mean epochs? (got 3)"),
        (("--set=mix=0.5",), "mix = 0"),
        (("--backbone=small_cnn", "--set=blend_with_start=[0.5]"), "has none; give --weights"),
        (("--set=batch=4", "--set=photos_each=4"), "two products"),
        (("--backbone=resnet9000",), "no network"),
        (("--backbone=resnet18", "--weights=missing.safetensors"), "safetensors file"),
        (("--split=none",), "none.json: no such file or directory; the splits are: "),
        (("--config=none.toml",), "settings file at none.toml: no such file or directory"),
        (("--set=oops",), "KEY=VALUE"),
        (("--resume=nothing",), "expected one run"),
        (("--set=seed=-1",), "seed"),
        (("--set=first_side_px=320",), "up to side_px"),
        (("--set=precision=fp16",), "bf16"),
    ],
)
def test_wrong_options_are_refused(house: Path, arguments: tuple[str, ...], complaint: str) -> None:
    runs = sorted((house / "runs").iterdir())
    done = satchel(house, "train", "encoder", "--tracker=none", "--set=threads=1", *arguments)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr
    assert sorted((house / "runs").iterdir()) == runs  # nothing is listed as crashed
