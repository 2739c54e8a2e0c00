"""Embed photos: photo → object box and vectors, in one forward pass or three.

The object's box is known before the first pass, where a person gives it or a locator finds it;
else the saliency map of the first pass gives it.

With an encoder whose card says `n_passes: 1`, a query shows its object alone, or the whole photo
where the box is not known yet or `satchel.locate.query_box` says so. Gallery photos get two passes,
the whole photo and its object, so that the index can learn what changes between these crops (see
`satchel.search.whitening`). With `n_passes: 3`, the passes encode the whole photo, the object, and
the salient part of that crop; the three vectors are averaged, so that a wrong box costs little.
Measured in docs/decisions/0003-vector.md, 0016-clip.md and 0025-built-in-detector.md.

Gallery photos and query photos are both embedded here, and only here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Final, Protocol

import numpy as np

from satchel.arrays import Bytes, Floats
from satchel.encode.colour import colour_histogram
from satchel.encode.crops import CropShape
from satchel.encode.output import EncoderOutput
from satchel.images import RGB
from satchel.locate.locator import Locator, main_detection
from satchel.locate.query_box import query_box
from satchel.locate.rules import PAD
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box, Detection, PhotoEmbedding, QueryView

PASS_WEIGHTS: Final = {1: (1.0,), 2: (2.0, 1.0), 3: (1.0, 1.0, 1.0)}
"""Weight of each pass in the mean vector, by the number of passes."""

COLOUR_PASS: Final = 2
"""Of three passes, the one whose crop gives the colours; the third often crops the object."""


Closer = Callable[[int, Box], RGB]
"""(Place of a photo, box of it) → all of its pixels, decoded so that the box has more of them."""


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
    encoder: PhotoEncoder,
    photos: Sequence[RGB],
    *,
    locator: Locator | None = None,
    boxes: Sequence[Box | None] | None = None,
    gallery: bool = False,
    closer: Closer | None = None,
) -> list[PhotoEmbedding]:
    """Locate and encode the object in each photo; crops of equal size share a batch.

    Args:
        photos: upright RGB pixels, of any sizes; at least one.
        locator: finds the objects, of which the main one counts; the whole photo where there is
            none. Default, the saliency map of the first pass.
        boxes: of the object in each photo, where a person has given it; it is not located then.
        gallery: the photos belong to the gallery, which takes two passes at least.
        closer: decodes a photo again where a located object has fewer pixels than its crop.
    """
    located = _located(locator, photos, boxes or [None] * len(photos))
    pad = PAD if locator is None else locator.pad
    count = max(encoder.n_passes, 2) if gallery else encoder.n_passes
    outputs: list[EncoderOutput] = []
    views: Iterable[QueryView | None] = repeat(None, len(photos))
    alone = encoder.n_passes == 1 and not gallery
    cuts = [one.queried.padded(pad) if alone else WHOLE_PHOTO for one in located]
    for number in range(1, count + 1):
        crops = [
            _cut(encoder.crop_shape, photo, cut, closer and partial(closer, at))
            for at, (photo, cut) in enumerate(zip(photos, cuts, strict=True))
        ]
        output = _encode(encoder, crops)
        outputs.append(output)
        if number == min(COLOUR_PASS, encoder.n_passes):
            colours = _colours(crops, output)
        if number == 2 and encoder.n_passes == 1:
            views = _query_views(located, crops, output)
        cuts = _salient_boxes(output, cuts)
        if number == 1:
            found = [one.box or salient for one, salient in zip(located, cuts, strict=True)]
            cuts = [
                one.box.padded(pad) if one.box else salient
                for one, salient in zip(located, cuts, strict=True)
            ]
    vectors = np.average(
        [output.vectors for output in outputs], axis=0, weights=PASS_WEIGHTS[count]
    ).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first = outputs[0]
    patches = repeat(None, len(photos)) if first.patches is None else first.patches
    detections = [one.detections for one in located]
    columns = zip(found, vectors, first.vectors, colours, patches, detections, views, strict=True)
    return [PhotoEmbedding(*row) for row in columns]


def _cut(shape: CropShape, photo: RGB, box: Box, closer: Callable[[Box], RGB] | None) -> RGB:
    """Crop a box, of a copy with more pixels if this one has too few."""
    crop = shape.cut(photo, box)
    height, width = photo.shape[:2]
    if closer and box.width * width * box.height * height < crop.shape[0] * crop.shape[1]:
        return shape.cut(closer(box), box)
    return crop


@dataclass(frozen=True, slots=True)
class _Located:
    """The object of a photo before the first pass.

    Attributes:
        box: None where saliency decides.
        queried: what a query of one pass shows.
    """

    box: Box | None = None
    queried: Box = WHOLE_PHOTO
    detections: tuple[Detection, ...] | None = None


def _located(
    locator: Locator | None, photos: Sequence[RGB], given: Sequence[Box | None]
) -> list[_Located]:
    """The given boxes, and the main detections of the other photos."""
    if locator is None:
        return [_Located(box, box or WHOLE_PHOTO) for box in given]
    left = [photo for photo, box in zip(photos, given, strict=True) if box is None]
    detected = iter(zip(left, locator.locate(left), strict=True))
    return [_Located(box, box) if box else _of_detections(*next(detected)) for box in given]


def _of_detections(photo: RGB, detections: Sequence[Detection]) -> _Located:
    main = main_detection(detections)
    box = main.box if main else WHOLE_PHOTO
    return _Located(box, query_box(photo, main), tuple(detections))


def _colours(crops: Sequence[RGB], output: EncoderOutput) -> list[Floats]:
    return [colour_histogram(*pair) for pair in zip(crops, output.saliency, strict=True)]


def _query_views(
    located: Sequence[_Located], crops: Sequence[RGB], output: EncoderOutput
) -> list[QueryView | None]:
    """The second pass of gallery photos, where a query would show that crop alone."""
    patches = repeat(None, len(crops)) if output.patches is None else output.patches
    views = zip(output.vectors, _colours(crops, output), patches, strict=True)
    return [
        QueryView(*view) if one.queried == one.box != WHOLE_PHOTO else None
        for one, view in zip(located, views, strict=True)
    ]


def as_query(embedding: PhotoEmbedding, n_passes: int) -> PhotoEmbedding:
    """Turn a gallery photo's embedding into that of the same photo as a query.

    Args:
        n_passes: of the encoder; with one pass, a query shows the whole photo or its main good.
    """
    if n_passes > 1:
        return embedding
    if (view := embedding.query) is None:
        return replace(embedding, vector=embedding.whole)
    return replace(
        embedding,
        vector=view.vector,
        whole=view.vector,
        colours=view.colours,
        patches=view.patches,
    )


def _salient_boxes(output: EncoderOutput, crops: Sequence[Box]) -> list[Box]:
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
