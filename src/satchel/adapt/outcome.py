"""Result of an adapting run: validation figures before and after, and whether it may be served."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from satchel.errors import UsageError
from satchel.files import write_atomically
from satchel.train.runs import Run
from satchel.validation import StrictModel, reason

OUTCOME: Final = "outcome.json"


class Outcome(StrictModel):
    """Figures of the validation queries; see `satchel.adapt.validation`.

    Attributes:
        start: of the encoder that was served as the run began.
        adapted: of the adapted one.
    """

    start: dict[str, float]
    adapted: dict[str, float]

    @property
    def worse(self) -> list[str]:
        """Figures in which the adapted encoder is worse: reasons not to serve it."""
        return [name for name, value in self.adapted.items() if value < self.start.get(name, 0.0)]

    @property
    def has_real_photos(self) -> bool:
        """Whether real photos were among the queries: synthetic ones alone can mislead."""
        return "own1" in self.adapted

    @property
    def better(self) -> bool:
        """Whether it was checked on real photos, where nothing got worse and something better."""
        return self.has_real_photos and not self.worse and self.adapted != self.start

    def write(self, run: Run) -> None:
        """Write it to the run's folder."""
        write_atomically(run.folder / OUTCOME, (self.model_dump_json(indent=1) + "\n").encode())

    @classmethod
    def read(cls, run: Run) -> Outcome:
        """Read a finished run's.

        Raises:
            UsageError: the run has not come so far.
        """
        try:
            return cls.model_validate_json((run.folder / OUTCOME).read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"the run {run.name} has no outcome yet ({reason(error)}); resume it with "
                f"`satchel adapt --resume {run.name}`"
            ) from None
