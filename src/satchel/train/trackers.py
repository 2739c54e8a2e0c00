"""Telling MLflow, W&B or TensorBoard about a run. Their pages are theirs; the run's folder is ours.

A tracker that fails must not cost a run: what it raises is logged once, and it is not asked again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import URL

from satchel.errors import UsageError, install_extra
from satchel.train.runs import Run

EXPERIMENT: Final = "satchel"
MLFLOW_STATES: Final = {"finished": "FINISHED", "crashed": "FAILED", "stopped": "KILLED"}
TRACKERS: Final = ("mlflow", "wandb", "tensorboard")

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """What is told of a run."""

    def log(self, row: dict[str, float], step: int) -> None:
        """Figures of an epoch."""

    def end(self, state: str) -> None:
        """The run ended: finished, stopped or crashed."""


class MlflowTracker:
    """MLflow with its store in one SQLite file; its page: `mlflow ui --backend-store-uri URI`."""

    def __init__(self, run: Run, workspace: Path) -> None:
        client = mlflow_client(workspace)
        record = run.read()
        known = record.trackers.get("mlflow")
        if known is None:
            known = client.create_run(_experiment(client, run), run_name=run.name).info.run_id
            for key, value in record.settings.items():
                client.log_param(known, key, value)
            for key in ("kind", "split", "split_hash", "revision"):
                client.set_tag(known, key, getattr(record, key))
            run.update(trackers={**record.trackers, "mlflow": known})
        else:
            client.update_run(known, status="RUNNING")
        self._client, self._id = client, known

    def log(self, row: dict[str, float], step: int) -> None:
        """Figures of an epoch."""
        for key, value in row.items():
            self._client.log_metric(self._id, key, value, step=step)

    def end(self, state: str) -> None:
        """The run ended."""
        self._client.set_terminated(self._id, MLFLOW_STATES[state])


class AccelerateTracker:
    """W&B or TensorBoard, through Accelerate's own trackers."""

    def __init__(self, name: str, run: Run) -> None:
        from accelerate import tracking  # noqa: PLC0415

        settings = {k: v for k, v in run.read().settings.items() if v is not None}
        try:
            if name == "wandb":
                self._tracker: Any = tracking.WandBTracker(EXPERIMENT, name=run.name)
            else:
                self._tracker = tracking.TensorBoardTracker(run.name, logging_dir=run.folder)
            self._tracker.start()
        except (ImportError, AttributeError) as error:
            raise UsageError(f"{name} is not installed: pip install {name} ({error})") from None
        self._tracker.store_init_configuration(settings)

    def log(self, row: dict[str, float], step: int) -> None:
        """Figures of an epoch."""
        self._tracker.log(row, step=step)

    def end(self, state: str) -> None:
        """The run ended."""
        self._tracker.finish()


class Trackers:
    """Several trackers as one, none of which can stop a run."""

    def __init__(self, names: Iterable[str], run: Run, workspace: Path) -> None:
        self._trackers: dict[str, Tracker] = {}
        for name in names:
            if name not in TRACKERS:
                raise UsageError(f"expected trackers of {', '.join(TRACKERS)}, got {name!r}")
            self._trackers[name] = (
                MlflowTracker(run, workspace) if name == "mlflow" else AccelerateTracker(name, run)
            )

    def log(self, row: dict[str, float], step: int) -> None:
        """Tell every tracker an epoch's figures."""
        self._each("log", row, step)

    def end(self, state: str) -> None:
        """Tell every tracker how the run ended."""
        self._each("end", state)

    def _each(self, what: str, *given: Any) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                getattr(tracker, what)(*given)
            except Exception as error:
                log.warning("%s is told no more of this run: %s", name, error)
                del self._trackers[name]


def mlflow_client(workspace: Path) -> Any:
    """A client of the workspace's own MLflow store.

    Raises:
        UsageError: MLflow is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    try:
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 - slow to import
    except ImportError:
        raise UsageError(
            f"MLflow is not installed; {install_extra('train')}, or train with --tracker none"
        ) from None
    # Quoted; and with its driver, since of sqlite:/// MLflow makes the folder of the quoted path.
    uri = URL.create("sqlite+pysqlite", database=str(workspace / "mlflow.db"))
    return MlflowClient(tracking_uri=uri.render_as_string())


def _experiment(client: Any, run: Run) -> str:
    known = client.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        return str(known.experiment_id)
    return str(client.create_experiment(EXPERIMENT, artifact_location=run.folder.parent.as_uri()))
