"""How an embedding space compares with the built-in encoder's, which thresholds are stated for.

One encoder's photos of different products have cosines around 0.6, another's around 0.97. So a
threshold is stated once, for the built-in encoder, and holds for *standard* cosines: an encoder's
distances, 1 − cosine, divided by how many times those of the built-in encoder they are on the same
photos. `satchel.workflows.fit` measures it, once for each space, on the workspace's own gallery.

Stored in `models/fits/`, named by the id of the embedding space, so that a rollback finds it again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from pydantic import Field, ValidationError

from satchel.arrays import Floats
from satchel.errors import EncoderError
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason

FOLDER: Final = "fits"


class EncoderFit(StrictModel):
    """What was measured of an embedding space, relative to the built-in encoder's."""

    distance: float = Field(
        1.0, gt=0, description="its distances are so many times the built-in encoder's"
    )
    searched: float = Field(
        1.0, gt=0, description="the same after whitening, where a gallery is searched"
    )
    colours: float = Field(
        1.0, ge=0, description="[search] colour_weight counts so many times with it"
    )
    patches: float = Field(
        1.0, ge=0, description="[search] patch_weight counts so many times with it"
    )
    photos: int = Field(0, ge=0, description="that distances were compared on; 0: not measured")
    queries: int = Field(0, ge=0, description="that the two weights were chosen on")

    @property
    def in_search(self) -> tuple[float, float, float]:
        """What an index depends on: another one has to be built where these differ."""
        return self.searched, self.colours, self.patches


NOT_MEASURED: Final = EncoderFit()
"""That of the built-in encoder; another one's is assumed to be the same until it is measured."""


def to_standard(cosines: Floats, scale: float) -> Floats:
    """Return what cosines would be with the built-in encoder, in [-1, 1], of the same shape.

    Args:
        scale: how many times the built-in encoder's distances theirs are.
    """
    return cosines if scale == 1 else np.maximum(1 - (1 - cosines) / scale, -1)


def from_standard(cosine: float, scale: float) -> float:
    """Return the encoder's own cosine at a threshold for standard ones, -1 at least."""
    return cosine if scale == 1 else max(-1.0, 1 - (1 - cosine) * scale)


def fit_path(models: Path, space: str) -> Path:
    """Path of the fit of the embedding space with this id."""
    return models / FOLDER / f"{space}.json"


def read_fit(models: Path, space: str) -> EncoderFit:
    """Read the fit of an embedding space; `NOT_MEASURED` where there is none.

    Raises:
        EncoderError: the file is damaged.
    """
    path = fit_path(models, space)
    try:
        return EncoderFit.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return NOT_MEASURED
    except (OSError, ValidationError) as error:
        raise EncoderError(
            f"{path} is not a valid fit of an encoder: {reason(error)}; delete the file and run "
            "`satchel index` to measure it again"
        ) from None


def write_fit(models: Path, space: str, fit: EncoderFit) -> None:
    """Write a fit atomically; it applies from then on."""
    path = fit_path(models, space)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (fit.model_dump_json(indent=2) + "\n").encode())
