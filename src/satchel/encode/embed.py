"""Photo → box and vector, in three looks: the whole photo, the object, the object again.

Each look is one forward pass that gives a vector and a saliency map; the map says where the next
look goes. The photo's vector is the sum of the three, so that what the locator costs is not lost:
measured in docs/decisions/0003-vector.md. Gallery and query photos both go through here, and only
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from satchel.encode.encoder import Encoder
from satchel.images import RGB, crop
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box

LOOKS = 3


@dataclass(frozen=True, slots=True)
class Embedded:
    """Where the object is, and the photo's vector: shape (d,), float32, of length 1."""

    box: Box
    vector: npt.NDArray[np.float32]


def embed(encoder: Encoder, photos: Sequence[RGB]) -> list[Embedded]:
    """Locate and encode the object in each photo, as one batch.

    Args:
        photos: upright RGB pixels, each of its own size; at least one.
    """
    boxes = [WHOLE_PHOTO] * len(photos)
    total: npt.NDArray[np.float32] | None = None
    for look in range(LOOKS):
        vectors, saliency = encoder.encode(_crops(photos, boxes, encoder.card.input_side_px))
        total = vectors if total is None else total + vectors
        if look < LOOKS - 1:
            boxes = [
                salient_box(seen).within(box) for seen, box in zip(saliency, boxes, strict=True)
            ]
    assert total is not None
    total = total / np.linalg.norm(total, axis=1, keepdims=True)
    return [Embedded(box, vector) for box, vector in zip(boxes, total, strict=True)]


def _crops(photos: Sequence[RGB], boxes: Sequence[Box], side_px: int) -> npt.NDArray[np.uint8]:
    return np.stack([crop(photo, box, side_px) for photo, box in zip(photos, boxes, strict=True)])
