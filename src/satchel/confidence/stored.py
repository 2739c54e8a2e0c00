"""Calibrations: confidences fitted on a workspace's own photos, one file for each encoder.

Stored in `models/calibration/`, named by the id of the embedding space, so that a rollback to an
encoder or a locator finds its calibration again. Without one, the confidence of the encoder's card
applies.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from satchel.encode.card import Confidence
from satchel.encode.embedder import EmbeddingSpace
from satchel.errors import EncoderError
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason

FOLDER: Final = "calibration"


class Calibration(StrictModel):
    """A confidence fitted on a workspace's own photos, and its figures."""

    encoder: str = Field(pattern=r"^[0-9a-f]{64}$", description="id of the embedding space")
    made_at: datetime
    source: str = Field(description="where the photos came from")
    products: int = Field(ge=0, description="in the index, at that time")
    confidence: Confidence
    figures: dict[str, float | None] = Field(
        description="on held-out photos; see satchel.confidence.figures"
    )


def calibration_path(models: Path, encoder: str) -> Path:
    """Path of the calibration of the embedding space with this id."""
    return models / FOLDER / f"{encoder}.json"


def read_calibration(models: Path, encoder: str) -> Calibration | None:
    """Read the calibration of an embedding space; None where there is none.

    Raises:
        EncoderError: the file is damaged, or of another encoder.
    """
    path = calibration_path(models, encoder)
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise EncoderError(
            f"{path} is not a valid calibration: {reason(error)}; run `satchel calibrate` again, "
            "or delete the file to go back to the encoder's card"
        ) from None
    if calibration.encoder != encoder:
        raise EncoderError(
            f"{path} is the calibration of another encoder, {calibration.encoder[:12]}…; delete it"
        )
    return calibration


def write_calibration(models: Path, calibration: Calibration) -> Path:
    """Write a calibration atomically; it applies from then on."""
    path = calibration_path(models, calibration.encoder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (calibration.model_dump_json(indent=2) + "\n").encode())
    return path


def confidence_of(models: Path, space: EmbeddingSpace) -> Confidence:
    """The confidence that applies: the workspace's own calibration, else the encoder's card."""
    own = read_calibration(models, space.id)
    return space.card.confidence if own is None else own.confidence
