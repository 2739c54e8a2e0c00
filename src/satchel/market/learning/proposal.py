"""An adapted encoder that `satchel learn` proposes, for a person to promote."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from satchel.encode.registry import read_serving
from satchel.files import write_atomically
from satchel.validation import StrictModel

FILE: Final = "proposal.json"


class Proposal(StrictModel):
    """What came of adapting the served encoder to what experts certified.

    Attributes:
        run: that adapts it; figures are empty until it has ended.
        served: name of the encoder that was served by then.
        made_at: UTC.
        photos: of certified goods that the gallery had by then.
        start, adapted: figures of validation by name, of the served encoder and of the adapted one.
        better: whether it is proposed: on real photos of products that it was not trained on, no
            figure is worse and one is better.
    """

    run: str
    served: str
    made_at: datetime
    photos: int
    start: dict[str, float]
    adapted: dict[str, float]
    better: bool

    @property
    def command(self) -> str:
        """Command that serves it."""
        return f"satchel promote {self.run}"


def read_attempt(models: Path) -> Proposal | None:
    """What came of the last adapting; None without one, or where its file is damaged."""
    try:
        return Proposal.model_validate_json((models / FILE).read_bytes())
    except (OSError, ValidationError):  # at worst the encoder is adapted once more
        return None


def open_proposal(models: Path) -> Proposal | None:
    """The encoder that is proposed, as long as the one it was compared with is served."""
    found = read_attempt(models)
    if found is None or not found.better or found.served != read_serving(models).name:
        return None
    return found


def write_attempt(models: Path, attempt: Proposal) -> None:
    """Keep what came of adapting, in place of the last attempt."""
    models.mkdir(parents=True, exist_ok=True)
    write_atomically(models / FILE, (attempt.model_dump_json(indent=1) + "\n").encode())
