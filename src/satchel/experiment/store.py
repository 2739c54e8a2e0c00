"""The folder of an experiment: its plan, frozen as it begins, and the results of its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from satchel.errors import UsageError
from satchel.evaluate.report import Figure
from satchel.experiment.plan import Plan
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason
from satchel.workspace import Workspace


class CellResult(StrictModel):
    """Result of a cell.

    Attributes:
        run: name of its run; None for an untrained backbone.
        seconds: time of training and evaluation.
        score: validation score of the best epoch, by which models are chosen.
        figures: on the test part.
        error: why it failed; empty if it did not.
    """

    run: str | None = None
    seconds: float = 0.0
    epochs: float = 0.0
    score: float | None = None
    figures: tuple[Figure, ...] = ()
    error: str = ""

    def figure(self, name: str) -> Figure | None:
        """A figure by name; None where it was not measured."""
        return next((figure for figure in self.figures if figure.name == name), None)


Results = Mapping[str, CellResult]
"""Name of a cell → its result."""

_PLAN: Final = TypeAdapter(Plan)
_RESULTS: Final = TypeAdapter(dict[str, CellResult])

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Experiment:
    """The folder of one experiment."""

    folder: Path

    @classmethod
    def named(cls, workspace: Workspace, name: str) -> Experiment:
        """The experiment of this name, which need not exist.

        Raises:
            UsageError: the name could lead out of the folder.
        """
        workspace.split_path(name)  # its splits begin with it
        return cls(workspace.runs / "experiments" / name)

    @property
    def planned(self) -> bool:
        """Whether there is a plan."""
        return self._plan.exists()

    def plan(self) -> Plan:
        """Read the plan."""
        return _read(self._plan, _PLAN)

    def results(self) -> dict[str, CellResult]:
        """Read the results so far."""
        return _read(self._results, _RESULTS) if self._results.exists() else {}

    def write_plan(self, plan: Plan) -> None:
        """Write the plan; makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._plan, _PLAN.dump_json(plan, indent=1) + b"\n")

    def write_results(self, results: Results) -> None:
        """Write the results."""
        write_atomically(self._results, _RESULTS.dump_json(dict(results), indent=1) + b"\n")

    @property
    def _plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def _results(self) -> Path:
        return self.folder / "results.json"


def _read(path: Path, kind: TypeAdapter[T]) -> T:
    try:
        return kind.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{path} cannot be read: {reason(error)}; start again under another --name"
        ) from None
