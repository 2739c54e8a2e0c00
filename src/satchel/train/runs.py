"""Training runs: one folder each, with record, curves, checkpoint and best weights.

The folder is the truth. Whether a run is running is not written down, since a killed process writes
nothing: a running one holds a lock on a file of its folder, which the system releases, whatever
ends the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError

from satchel import __version__
from satchel.errors import UsageError
from satchel.files import locked, write_atomically
from satchel.parallel import cores
from satchel.validation import StrictModel, reason

RECORD: Final = "run.json"
CURVES: Final = "curves.jsonl"
LOCK: Final = "lock"

M = TypeVar("M", bound=BaseModel)

ADAPT: Final = "adapt"
"""Command of the runs that adapt the served encoder."""

BEGUN: Final = "begun"
STOPPED: Final = "stopped"
FINISHED: Final = "finished"
RESUMABLE: Final = frozenset((STOPPED, "crashed"))
"""States of `Run.state` in which a run can be resumed."""


class TimeUp(Exception):
    """The time budget is spent; what was begun can be resumed."""


STOPS: Final = (KeyboardInterrupt, TimeUp)
"""Exceptions that stop a run without a fault of its own."""


class RunRecord(StrictModel):
    """Record of a run. Times are UTC.

    Attributes:
        state: `BEGUN` until it ends, `FINISHED` or `STOPPED` (by a person, or because its time was
            up); whether it still runs, the lock says.
    """

    name: str
    kind: str = Field(description="see satchel.workflows.kinds")
    command: str = Field(description="that begins and resumes such runs, without `satchel`")
    settings: dict[str, Any]
    split: str = Field("", description="name of the split")
    split_hash: str = ""
    products: int = 0
    photos: int = 0
    revision: str = Field(description="of Satchel's code")
    machine: dict[str, str | int]
    begun_at: datetime
    ended_at: datetime | None = None
    state: str = BEGUN
    seconds: float = Field(0.0, description="of training so far, all resumptions together")
    epochs: float = 0.0
    precision: str = Field("", description="that was trained in; known once it ended")
    figures: dict[str, float] = Field({}, description="the best so far, by name")
    trackers: dict[str, str] = Field({}, description="tracker → its own id of this run")

    def settings_as(self, kind: type[M]) -> M:
        """The settings as their kind.

        Raises:
            UsageError: they do not fit it: the record was changed, or another Satchel wrote it.
        """
        with readable(Path(self.name) / RECORD):
            return kind.model_validate(self.settings)

    @property
    def adapts(self) -> bool:
        """Whether the run adapted the served encoder."""
        return self.command == ADAPT


@dataclass(frozen=True, slots=True)
class Run:
    """One run's folder."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's name, that of its folder."""
        return self.folder.name

    @property
    def checkpoint(self) -> Path:
        """Where training resumes from."""
        return self.folder / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        """The weights that were best on the validation part."""
        return self.folder / "best.safetensors"

    @classmethod
    def create(cls, runs: Path, record: RunRecord) -> Run:
        """Make a run's folder; its name gets a number where it is taken.

        Raises:
            UsageError: the name could lead out of the folder.
        """
        if not re.fullmatch(r"[^-./\\\0][^/\\\0]{0,199}", record.name):
            raise UsageError(
                "expected a run's name without slashes, which does not begin with - or ., got "
                f"{record.name!r}"
            )
        for number in range(1, 10_000):
            name = record.name if number == 1 else f"{record.name}-{number}"
            run = cls(runs / name)
            try:
                run.folder.mkdir(parents=True)
            except FileExistsError:
                continue
            run.write(record.model_copy(update={"name": name}))
            return run
        raise UsageError(f"there are thousands of runs named {record.name}; give another name")

    @classmethod
    def find(cls, runs: Path, name: str) -> Run:
        """Find a run by name.

        Raises:
            UsageError: there is none, or several begin so.
        """
        found = [run for run in all_runs(runs) if run.name == name] or [
            run for run in all_runs(runs) if run.name.startswith(name)
        ]
        if len(found) != 1:
            known = ", ".join(run.name for run in found or all_runs(runs)) or "none"
            raise UsageError(f"expected one run named {name!r}, found {len(found)}; runs: {known}")
        return found[0]

    def read(self) -> RunRecord:
        """Read the record.

        Raises:
            UsageError: it is missing or damaged.
        """
        try:
            return RunRecord.model_validate_json((self.folder / RECORD).read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"the run {self.name} has no readable {RECORD}: {reason(error)}; restore the file "
                "from a backup, or move the run's folder away"
            ) from None

    def write(self, record: RunRecord) -> None:
        """Write the record."""
        data = record.model_dump_json(indent=1) + "\n"
        write_atomically(self.folder / RECORD, data.encode())

    def update(self, **changes: Any) -> RunRecord:
        """Change some of the record."""
        record = self.read().model_copy(update=changes)
        self.write(record)
        return record

    @contextlib.contextmanager
    def noting_stops(self) -> Iterator[None]:
        """Mark the run as stopped where one of `STOPS` ends it; until then it is begun.

        Anything else that ends it leaves it as begun, and it shows as crashed.
        """
        self.update(state=BEGUN)
        try:
            yield
        except STOPS:
            self.update(state=STOPPED)
            raise

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Hold the run's lock.

        Raises:
            UsageError: another process trains it.
        """
        with locked(self.folder / LOCK, f"the run {self.name}"):
            yield

    def state(self) -> str:
        """finished, stopped, running, or crashed: begun, not ended, and nobody holds the lock."""
        record = self.read()
        if record.state != BEGUN:
            return record.state
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "running"
        finally:
            os.close(handle)
        return "crashed"

    # -- curves -----------------------------------------------------------------------------

    def curves(self) -> list[dict[str, float]]:
        """Figures by epoch, oldest first; half-written and damaged lines are left out."""
        path = self.folder / CURVES
        lines = path.read_bytes().splitlines() if path.exists() else []
        rows = []
        for line in lines:
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and isinstance(row.get("epoch"), int | float):
                    rows.append(row)
        return rows

    def add_to_curves(self, row: dict[str, float]) -> None:
        """Add an epoch's figures; the same epoch done once more replaces what it said before."""
        rows = [known for known in self.curves() if known["epoch"] < row["epoch"]]
        text = "".join(json.dumps(known) + "\n" for known in [*rows, row])
        write_atomically(self.folder / CURVES, text.encode())


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn any error of reading a file of a run into one message.

    Raises:
        UsageError: it is missing or damaged, or does not fit.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"{path} cannot be read: {reason(error)}; restore it from a backup, or begin a new run"
        ) from None


def all_runs(runs: Path) -> list[Run]:
    """Every run in a folder, by name."""
    return [Run(path.parent) for path in sorted(runs.glob(f"*/{RECORD}"))]


def new_record(kind: str, command: str, settings: BaseModel, name: str) -> RunRecord:
    """Begin a record: what is trained, on what, by which code, where."""
    return RunRecord(
        name=name,
        kind=kind,
        command=command,
        settings=settings.model_dump(mode="json"),
        revision=_revision(),
        machine=_machine(),
        begun_at=datetime.now(UTC),
    )


def _revision() -> str:
    """Satchel's version, and the commit where it runs from a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return __version__
    commit = described.stdout.strip() if described.returncode == 0 else ""
    return f"{__version__}+{commit}" if commit else __version__


def _machine() -> dict[str, str | int]:
    import torch  # noqa: PLC0415 - only training runs ask

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cores": cores(),
        "gpu": torch.cuda.get_device_name(0) if gpus else "none",
        "gpus": gpus,
    }
