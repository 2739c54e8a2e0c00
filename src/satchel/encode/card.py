"""The card of an encoder: what the model file is, and all that must be known to use it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    ValidationError,
    field_validator,
)

from satchel.encode.crops import CropShape
from satchel.errors import EncoderError
from satchel.files import write_atomically
from satchel.validation import reason

MODELS: Final = Path(__file__).parent / "models"
BUILTIN: Final = MODELS / "clip-b16.json"
LITE: Final = MODELS / "lite0.json"
"""The light encoder: less accurate, and a third of the work."""

WEIGHTS_BEFORE: Final = 4
"""That `presence` once had; workspaces keep such cards and calibrations."""


class Confidence(BaseModel):
    """How scores become confidences and a verdict; fitted, see `measured_on`.

    The models that the weights belong to are in `satchel.confidence.model`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    presence: tuple[float, float, float, float, float, float, float] = Field(
        description="of 1, first score, ln lead, ln photos, ln lead before the fifth, ln products "
        "ahead by colours, ln those ahead by parts: odds of being in the catalogue"
    )
    sharpness: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        description="of gap, gap × ln photos, ln gap: how much being behind counts"
    )
    further: tuple[float, float] = Field(
        description="of 1, ln photos: odds that the right product is not among those ranked"
    )
    absent_share: float = Field(
        gt=0, lt=1, description="share of items not in the catalogue that this was fitted for"
    )
    precision: float = Field(
        gt=0, lt=1, description="share of right answers among those called identified, at least"
    )
    coverage: float = Field(
        gt=0, lt=1, description="share of items whose code is among the likely ones, at least"
    )
    identified_at: float = Field(
        ge=0,
        le=1,
        description="confidence from which the first candidate counts as identified; 1 for never",
    )
    absent_at: float = Field(
        ge=0,
        le=1,
        description="chance of being in the catalogue below which an item counts as absent",
    )
    likely_at: float = Field(
        ge=0, description="sum of shares from which candidates are the likely ones; see `coverage`"
    )
    queries: int = Field(ge=0, description="how many this was fitted on")
    measured_on: str

    @field_validator("presence", mode="before")
    @classmethod
    def _weights_of_before(cls, weights: Any) -> Any:
        """What was fitted to the first four alone has no weight for the others."""
        of_before = isinstance(weights, list | tuple) and len(weights) == WEIGHTS_BEFORE
        return [*weights, 0.0, 0.0, 0.0] if of_before else weights


PartName = Annotated[str, Field(pattern=r"^[\w.-]+\.onnx$")]


class EncoderCard(BaseModel):
    """What stands beside a model file, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    file: PartName = Field(description="model file, beside the card")
    parts: tuple[PartName, ...] = Field(
        (), description="files whose bytes follow the model file's; all together are the model"
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the model, all its parts")
    architecture: str
    weights: str = Field(description="where they come from")
    licence: str
    input_side_px: int = Field(gt=0, description="side of a square crop")
    patch_px: int | None = Field(
        None,
        gt=0,
        description="crops keep the photo's proportions: their sides are whole multiples of this, "
        "with the pixels of the square at most; none: they are square",
    )
    preprocessing: str
    dimension: int = Field(gt=0, description="length of a vector")
    looks: Literal[1, 3] = Field(
        3, description="looks that make a photo's vector; see satchel.encode.embed"
    )
    parity: str = Field(description="agreement with the model it was exported from")
    recipe: str = Field(description="the command that makes the file again")
    confidence: Confidence

    @property
    def crop_shape(self) -> CropShape:
        """What crops the encoder takes."""
        return CropShape(self.input_side_px, self.patch_px)


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
        raise EncoderError(
            f"the encoder's card {path} is not valid: {reason(error)}; "
            "restore the file, or reinstall satchel if it is the built-in one"
        ) from None


def write_model(path: Path, card: EncoderCard, model: bytes, *parts: bytes) -> None:
    """Write a model, its further parts, and then, to `path` beside them, its card."""
    for name, data in zip((card.file, *card.parts), (model, *parts), strict=True):
        write_atomically(path.parent / name, data)
    write_atomically(path, (card.model_dump_json(indent=2) + "\n").encode())


def read_model(card: EncoderCard, folder: Path) -> bytes:
    """Read the card's model; nothing else than the bytes that the card names is returned.

    A model in several files is their bytes, one after the other: protobuf messages that are put
    together so are one message, whose lists of nodes, tensors and outputs are joined. So what is
    added to a large model is a small file.

    Raises:
        EncoderError: a file is missing, or the SHA-256 is another.
    """
    paths = [folder / name for name in (card.file, *card.parts)]
    try:
        data = b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise EncoderError(f"expected the encoder's model at {paths[0]}: {error}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise EncoderError(
            f"{paths[0]} is not the model that its card names: expected SHA-256 {card.sha256}, "
            f"got {found}; restore the file, or reinstall satchel if it is the built-in one"
        )
    return data
