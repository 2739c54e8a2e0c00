"""The card of an encoder: what the model file is, and all that must be known to use it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from satchel.errors import EncoderError

BUILTIN: Final = Path(__file__).parent / "models" / "lite0.json"


class Confidence(BaseModel):
    """How this encoder's scores become a confidence and a verdict; measured, see `measured_on`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(gt=0, description="of the softmax over product scores")
    identified_at: float = Field(
        ge=0, le=1, description="confidence from which the first candidate counts as identified"
    )
    in_catalogue_at: float = Field(
        ge=-1,
        le=1,
        description="score of the first candidate from which it may be in the catalogue",
    )
    measured_on: str


class EncoderCard(BaseModel):
    """What stands beside a model file, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    file: str = Field(pattern=r"^[\w.-]+\.onnx$", description="model file, beside the card")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the model file")
    architecture: str
    weights: str = Field(description="where they come from")
    licence: str
    input_side_px: int = Field(gt=0)
    preprocessing: str
    dimension: int = Field(gt=0, description="length of a vector")
    parity: str = Field(description="agreement with the model it was exported from")
    recipe: str = Field(description="the command that makes the file again")
    confidence: Confidence


def read_card(path: Path = BUILTIN) -> EncoderCard:
    """Read a card.

    Raises:
        EncoderError: it is missing or says something else than a card should.
    """
    try:
        return EncoderCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EncoderError(f"expected an encoder's card at {path}: {error}") from None
    except ValidationError as error:
        raise EncoderError(f"the encoder's card {path} is not valid: {error}") from None


def read_model(card: EncoderCard, folder: Path) -> bytes:
    """Read the card's model file; nothing else than the bytes that the card names is returned.

    Raises:
        EncoderError: it is missing or its SHA-256 is another.
    """
    path = folder / card.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EncoderError(f"expected the encoder's model at {path}: {error}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise EncoderError(
            f"{path} is not the model that its card names: expected SHA-256 {card.sha256}, "
            f"got {found}; restore the file, or reinstall satchel if it is the built-in one"
        )
    return data
