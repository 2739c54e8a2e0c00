from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'satchel[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]  # MLflow's own

from satchel.errors import MissingExtra, UsageError
from satchel.train.runs import Run
from satchel.train.trackers import _experiment, installed_trackers, mlflow_client


def test_trackers_that_do_not_exist_or_are_not_installed_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert installed_trackers(["none"]) == []
    with pytest.raises(UsageError, match="expected trackers of mlflow"):
        installed_trackers(["mlfow"])
    monkeypatch.setattr("satchel.extras.is_installed", lambda module: False)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[wandb\]'"):
        installed_trackers(["wandb"])


def test_mlflow_keeps_to_its_workspace_whatever_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs the mlflow extra: pip install '.[mlflow]'")
    workspace, elsewhere = tmp_path / "My%20 Shop?#1 한", tmp_path / "elsewhere"
    run = Run(workspace / "runs" / "one")
    run.folder.mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    client = mlflow_client(workspace)
    made = client.create_run(_experiment(client, run), run_name="one").info
    client.log_metric(made.run_id, "top1", 0.5)
    assert mlflow_client(workspace).get_run(made.run_id).data.metrics == {"top1": 0.5}
    assert made.artifact_uri.startswith(run.folder.parent.as_uri())
    assert {path.name for path in tmp_path.iterdir()} == {workspace.name, elsewhere.name}
    assert {path.name for path in workspace.iterdir()} == {"mlflow.db", "runs"}
    assert not list(elsewhere.iterdir())
