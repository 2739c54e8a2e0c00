"""Embed photos: photo → object box and vectors, in one forward pass or three.

The first pass encodes the whole photo; its saliency map gives the object's box. An encoder whose
card says `n_passes: 1` stops there, except for gallery photos: those get a second pass on the
object, so that the index can learn what changes between the two crops (see
`satchel.search.whitening`). With `n_passes: 3`, the second pass encodes the object, the third the
object within that crop, and the three vectors are averaged, so that a wrong box costs little.
Measured in docs/decisions/0003-vector.md and 0016-clip.md.

Gallery photos and query photos are both embedded here, and only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import Final, Protocol

import numpy as np

from satchel.arrays import Bytes
from satchel.encode.colour import colour_histogram
from satchel.encode.crops import CropShape
from satchel.encode.output import EncoderOutput
from satchel.images import RGB
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box, PhotoEmbedding

PASS_WEIGHTS: Final = {1: (1.0,), 2: (2.0, 1.0), 3: (1.0, 1.0, 1.0)}
"""Weight of each pass in the mean vector, by the number of passes."""

COLOUR_PASS: Final = 2
"""Of three passes, the one whose crop gives the colours; the third often crops the object."""


class PhotoEncoder(Protocol):
    """Encodes crops: `satchel.encode.encoder.Encoder`, or a network in training."""

    @property
    def crop_shape(self) -> CropShape:
        """Shape of its input crops."""

    @property
    def n_passes(self) -> int:
        """Passes averaged into a photo's vector: 1 or 3."""

    def encode(self, crops: Bytes) -> EncoderOutput:
        """Encode crops; see `satchel.encode.encoder.Encoder.encode`."""


def embed(
    encoder: PhotoEncoder, photos: Sequence[RGB], *, gallery: bool = False
) -> list[PhotoEmbedding]:
    """Locate and encode the object in each photo; crops of equal size share a batch.

    Args:
        photos: upright RGB pixels, of any sizes; at least one.
        gallery: the photos belong to the gallery, which takes two passes at least.
    """
    count = max(encoder.n_passes, 2) if gallery else encoder.n_passes
    outputs: list[EncoderOutput] = []
    boxes_of_pass = [[WHOLE_PHOTO] * len(photos)]
    for number in range(1, count + 1):
        boxes = boxes_of_pass[-1]
        crops = [encoder.crop_shape.cut(*pair) for pair in zip(photos, boxes, strict=True)]
        output = _encode(encoder, crops)
        outputs.append(output)
        if number == min(COLOUR_PASS, encoder.n_passes):
            colours = [
                colour_histogram(crop, saliency)
                for crop, saliency in zip(crops, output.saliency, strict=True)
            ]
        boxes_of_pass.append(_boxes(output, boxes))
    vectors = np.average(
        [output.vectors for output in outputs], axis=0, weights=PASS_WEIGHTS[count]
    ).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first = outputs[0]
    patches = repeat(None, len(photos)) if first.patches is None else first.patches
    columns = zip(boxes_of_pass[1], vectors, first.vectors, colours, patches, strict=True)
    return [PhotoEmbedding(*row) for row in columns]


def as_query(embedding: PhotoEmbedding, n_passes: int) -> PhotoEmbedding:
    """Turn a gallery photo's embedding into the one it would have as a query photo.

    Args:
        n_passes: of the encoder; with one pass, a query has no pass on the object.
    """
    return replace(embedding, vector=embedding.whole) if n_passes == 1 else embedding


def _boxes(output: EncoderOutput, crops: Sequence[Box]) -> list[Box]:
    """Locate the object in each crop; boxes are fractions of the whole photo."""
    return [
        salient_box(saliency).within(crop)
        for saliency, crop in zip(output.saliency, crops, strict=True)
    ]


def _encode(encoder: PhotoEncoder, crops: Sequence[RGB]) -> EncoderOutput:
    """Run one pass over crops, one batch for each crop size."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for position, one in enumerate(crops):
        by_size.setdefault(one.shape, []).append(position)
    outputs = [encoder.encode(np.stack([crops[i] for i in same])) for same in by_size.values()]
    order = np.argsort([position for same in by_size.values() for position in same])
    return EncoderOutput.concatenate(outputs).rows(order)
