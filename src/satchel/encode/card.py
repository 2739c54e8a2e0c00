"""The card of an encoder: identity of the model file, and everything needed to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from satchel.encode.crops import CropShape
from satchel.onnx_model import ModelCard, load_card
from satchel.validation import StrictModel

MODELS: Final = Path(__file__).parent / "models"
BUILTIN: Final = MODELS / "clip-b16.json"
LITE: Final = MODELS / "lite0.json"
"""The light encoder: less accurate, and a third of the work."""


NOT_CALIBRATED: Final = "not calibrated"
"""What a card says of its confidence where nothing was measured."""

OLDER: Final = ("coverage", "likely_at")
"""Keys of `Confidence` that are no longer used."""


class Confidence(StrictModel):
    """How scores become confidences and a verdict; fitted, see `measured_on`.

    The models that the weights belong to are in `satchel.confidence.model`.
    """

    presence: tuple[float, float, float, float, float, float, float] = Field(
        description="of 1, first score, ln lead, ln photos, ln lead before the fifth, ln products "
        "ahead by colours, ln those ahead by patches: odds of being in the catalogue"
    )
    sharpness: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        description="of gap, gap × ln photos, ln gap: how fast probabilities fall with the gap"
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
    queries: int = Field(ge=0, description="how many this was fitted on")
    measured_on: str

    @property
    def measured(self) -> bool:
        """Whether it was fitted to scores of this encoder; see `uncalibrated`."""
        return self.measured_on != NOT_CALIBRATED

    @model_validator(mode="before")
    @classmethod
    def _older(cls, data: Any) -> Any:
        """Take cards of version 0.1.0, which had a second threshold, of a set's coverage."""
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if name not in OLDER}


class EncoderCard(ModelCard):
    """The card of an encoder."""

    input_side_px: int = Field(gt=0, description="side of a square crop")
    patch_px: int | None = Field(
        None,
        gt=0,
        description="crops keep the photo's aspect ratio: their sides are whole multiples of this, "
        "with the pixels of the square at most; none: they are square",
    )
    preprocessing: str
    dimension: int = Field(gt=0, description="length of a vector")
    n_passes: Literal[1, 3] = Field(
        3, description="forward passes averaged into a photo's vector; see satchel.encode.embed"
    )
    patch_dimension: int | None = Field(
        None, gt=0, description="length of a local feature; none: the encoder gives none"
    )
    confidence: Confidence

    @property
    def crop_shape(self) -> CropShape:
        """Shape of the encoder's input crops."""
        return CropShape(self.input_side_px, self.patch_px)


def read_card(path: Path = BUILTIN) -> EncoderCard:
    """Read an encoder's card.

    Raises:
        EncoderError: it is missing or not valid.
    """
    return load_card(path, EncoderCard)


def uncalibrated() -> Confidence:
    """The confidence of an encoder on which nothing was measured: nothing is called identified.

    It is the built-in encoder's, since scores are as with that one: see `satchel.encode.fit`.
    """
    return read_card(BUILTIN).confidence.model_copy(
        update={"identified_at": 1.0, "queries": 0, "measured_on": NOT_CALIBRATED}
    )
