"""MLflow, W&B and TensorBoard as mirrors of a run; the run's folder is the truth.

Each is an extra of the package and off by default: `satchel runs` shows the figures. A tracker that
fails must not cost a run: its error is logged once, and it receives nothing more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from sqlalchemy import URL

from satchel.errors import UsageError
from satchel.extras import need_extra
from satchel.train.runs import FINISHED, STOPPED, STOPS, Run

EXPERIMENT: Final = "satchel"
MLFLOW_STATES: Final = {FINISHED: "FINISHED", "crashed": "FAILED", STOPPED: "KILLED"}
TRACKERS: Final = ("mlflow", "wandb", "tensorboard")
"""Trackers, each the name of its extra."""

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Receives the figures of a run."""

    def log(self, row: dict[str, float], step: int) -> None:
        """Log the figures of an epoch."""

    def end(self, state: str) -> None:
        """Close the run: finished, stopped or crashed."""


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
        """Log the figures of an epoch."""
        for key, value in row.items():
            self._client.log_metric(self._id, key, value, step=step)

    def end(self, state: str) -> None:
        """Close the run."""
        self._client.set_terminated(self._id, MLFLOW_STATES[state])


class AccelerateTracker:
    """W&B or TensorBoard, through Accelerate's own trackers."""

    def __init__(self, name: str, run: Run) -> None:
        from accelerate import tracking  # noqa: PLC0415

        settings = {k: v for k, v in run.read().settings.items() if v is not None}
        if name == "wandb":
            self._tracker: Any = tracking.WandBTracker(EXPERIMENT, name=run.name)
        else:
            self._tracker = tracking.TensorBoardTracker(run.name, logging_dir=run.folder)
        self._tracker.start()
        self._tracker.store_init_configuration(settings)

    def log(self, row: dict[str, float], step: int) -> None:
        """Log the figures of an epoch."""
        self._tracker.log(row, step=step)

    def end(self, state: str) -> None:
        """Close the run."""
        self._tracker.finish()


class Trackers:
    """Several trackers as one, none of which can stop a run; left by an error, they are closed.

    Raises:
        UsageError: there is no such tracker, or its extra is not installed.
    """

    def __init__(self, names: Iterable[str], run: Run, workspace: Path) -> None:
        self._trackers: dict[str, Tracker] = {
            name: MlflowTracker(run, workspace)
            if name == "mlflow"
            else AccelerateTracker(name, run)
            for name in installed_trackers(names)
        }

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stopped = kind is not None and issubclass(kind, STOPS)
        self._each("end", FINISHED if kind is None else STOPPED if stopped else "crashed")

    def log(self, row: dict[str, float], step: int) -> None:
        """Log the figures of an epoch to every tracker."""
        self._each("log", row, step)

    def _each(self, method: str, *given: Any) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                getattr(tracker, method)(*given)
            except Exception as error:
                log.warning("%s receives no more of this run: %s", name, error)
                del self._trackers[name]


def installed_trackers(names: Iterable[str]) -> list[str]:
    """Check trackers before a run begins; "none" among them is left out.

    Raises:
        UsageError: there is no such tracker, or its extra is not installed.
    """
    chosen = [name for name in names if name != "none"]
    for name in chosen:
        if name not in TRACKERS:
            raise UsageError(f"expected trackers of {', '.join(TRACKERS)}, got {name!r}")
        need_extra(name)
    return chosen


def mlflow_client(workspace: Path) -> Any:
    """A client of the workspace's own MLflow store."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - slow to import

    # Quoted; and with its driver, since of sqlite:/// MLflow makes the folder of the quoted path.
    uri = URL.create("sqlite+pysqlite", database=str(workspace / "mlflow.db"))
    return MlflowClient(tracking_uri=uri.render_as_string())


def _experiment(client: Any, run: Run) -> str:
    known = client.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        return str(known.experiment_id)
    return str(client.create_experiment(EXPERIMENT, artifact_location=run.folder.parent.as_uri()))
