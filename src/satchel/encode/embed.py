"""Photo → box and vector, in three looks: the whole photo, the object, the object again.

Each look is one forward pass that gives a vector and a saliency map; the map says where the next
look goes. The photo's vector is the sum of the three, so that what the locator costs is not lost:
measured in docs/decisions/0003-vector.md. Gallery and query photos both go through here, and only
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from satchel.encode.colour import colour_histogram
from satchel.images import RGB, crop
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box

LOOKS = 3
COLOUR_LOOK = 2
"""The look whose colours count: the object's; the third often loses parts of it."""


class Looking(Protocol):
    """What looks at crops: `satchel.encode.encoder.Encoder`, or a network that is in training."""

    @property
    def input_side_px(self) -> int:
        """Side of the crops that it takes."""

    def encode(
        self, crops: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """As `satchel.encode.encoder.Encoder.encode`."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Where the object is, and the photo's vectors, float32, of length 1.

    `vector`, shape (d,), is of all looks together and what is searched; `whole`, shape (d,), is
    of the first look alone; `colours`, shape (`COLOURS`,), is of the second.
    The box is that of the second look. The third look's is closer, and often cuts off handles and
    straps: right for telling models apart, wrong as an answer to where the object is.
    """

    box: Box
    vector: npt.NDArray[np.float32]
    whole: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]

    @property
    def described(self) -> npt.NDArray[np.float32]:
        """What is compared with the gallery: vector and colours, shape (d + `COLOURS`,)."""
        return np.concatenate([self.vector, self.colours])


def embed(encoder: Looking, photos: Sequence[RGB]) -> list[Embedded]:
    """Locate and encode the object in each photo, as one batch.

    Args:
        photos: upright RGB pixels, each of its own size; at least one.
    """
    looks: list[npt.NDArray[np.float32]] = []
    looked_at = [[WHOLE_PHOTO] * len(photos)]
    while True:
        boxes = looked_at[-1]
        crops = _crops(photos, boxes, encoder.input_side_px)
        vectors, saliency = encoder.encode(crops)
        looks.append(vectors)
        if len(looks) == COLOUR_LOOK:
            colours = [colour_histogram(*seen) for seen in zip(crops, saliency, strict=True)]
        if len(looks) == LOOKS:
            break
        nearer = zip(saliency, boxes, strict=True)
        looked_at.append([salient_box(seen).within(box) for seen, box in nearer])
    total = np.sum(looks, axis=0)
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    return [Embedded(*seen) for seen in zip(looked_at[1], total, looks[0], colours, strict=True)]


def _crops(photos: Sequence[RGB], boxes: Sequence[Box], side_px: int) -> npt.NDArray[np.uint8]:
    return np.stack([crop(photo, box, side_px) for photo, box in zip(photos, boxes, strict=True)])
