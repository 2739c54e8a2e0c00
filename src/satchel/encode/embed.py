"""Photo → box and vectors, in one look or three, as the encoder's card says.

Each look is one forward pass that gives a vector and a saliency map; the map says where the object
is. Where one look is enough, it is at the whole photo; photos of the gallery are looked at once
more, at their object, so that the index learns what changes between the two. Where three are
taken (the whole photo, the object, the object again), what they give is summed, so that what the
locator costs is not lost. Measured in docs/decisions/0003-vector.md and 0016-clip.md. Gallery and
query photos both go through here, and only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from satchel.encode.colour import colour_histogram
from satchel.encode.crops import CropShape
from satchel.encode.output import Look
from satchel.images import RGB
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box

SHARES: Final = {1: (1.0,), 2: (2.0, 1.0), 3: (1.0, 1.0, 1.0)}
"""What each look's vector counts, by how many looks were taken."""

COLOUR_LOOK: Final = 2
"""The look whose colours count where three are taken: the object's; the third often loses parts."""


class Looking(Protocol):
    """What looks at crops: `satchel.encode.encoder.Encoder`, or a network that is in training."""

    @property
    def crop_shape(self) -> CropShape:
        """What crops it takes."""

    @property
    def looks(self) -> int:
        """Looks that make a photo's vector: 1 or 3."""

    def encode(self, crops: npt.NDArray[np.uint8]) -> Look:
        """As `satchel.encode.encoder.Encoder.encode`."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Where the object is, and the photo's vectors, float32, of length 1.

    `vector`, shape (d,), is of all looks together and what is searched; `whole`, shape (d,), is
    of the first look alone; `colours`, shape (`COLOURS`,), is of the second of three looks, else
    of the first. `patches`, shape (p, e), int8, are of the first look, None where the encoder gives
    none.
    The box is what the first look's map gives. A third look's is closer, and often cuts off
    handles and straps: right for telling models apart, wrong as an answer to where the object is.
    """

    box: Box
    vector: npt.NDArray[np.float32]
    whole: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]
    patches: npt.NDArray[np.int8] | None = None

    @property
    def described(self) -> npt.NDArray[np.float32]:
        """What is compared with the gallery: vector and colours, shape (d + `COLOURS`,)."""
        return np.concatenate([self.vector, self.colours])


def embed(encoder: Looking, photos: Sequence[RGB], *, gallery: bool = False) -> list[Embedded]:
    """Locate and encode the object in each photo; crops of one size pass as one batch.

    Args:
        photos: upright RGB pixels, each of its own size; at least one.
        gallery: the photos are to be searched, not searched for: two looks at the least.
    """
    count = max(encoder.looks, 2) if gallery else encoder.looks
    looks: list[Look] = []
    looked_at = [[WHOLE_PHOTO] * len(photos)]
    while len(looks) < count:
        boxes = looked_at[-1]
        cut = encoder.crop_shape.cut
        crops = [cut(photo, box) for photo, box in zip(photos, boxes, strict=True)]
        look = _looked(encoder, crops)
        looks.append(look)
        if len(looks) == min(COLOUR_LOOK, encoder.looks):
            colours = [colour_histogram(*seen) for seen in zip(crops, look.saliency, strict=True)]
        nearer = zip(look.saliency, boxes, strict=True)
        looked_at.append([salient_box(seen).within(box) for seen, box in nearer])
    vectors = [look.vectors for look in looks]
    total = np.average(vectors, axis=0, weights=SHARES[count]).astype(np.float32)
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    patches = looks[0].patches
    parts = repeat(None, len(photos)) if patches is None else patches
    seen = zip(looked_at[1], total, vectors[0], colours, parts, strict=True)
    return [Embedded(*photo) for photo in seen]


def as_query(seen: Embedded, looks: int) -> Embedded:
    """What a photo of the gallery is when it is searched for.

    Args:
        looks: that make a photo's vector; of one, the look at the object is left out.
    """
    return replace(seen, vector=seen.whole) if looks == 1 else seen


def _looked(encoder: Looking, crops: Sequence[RGB]) -> Look:
    """One look at each crop; those of one size pass together."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for at, one in enumerate(crops):
        by_size.setdefault(one.shape, []).append(at)
    looks = [encoder.encode(np.stack([crops[at] for at in same])) for same in by_size.values()]
    order = np.argsort([at for same in by_size.values() for at in same])
    return Look.joined(looks).rows(order)
