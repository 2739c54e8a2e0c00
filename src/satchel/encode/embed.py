"""Embed photos: photo → object box and vectors, in one forward pass to three.

The object's box is known before the first pass, where a person gives it or a locator finds it;
else the saliency map of the first pass gives it.

With an encoder whose card says `n_passes: 1`, a query shows its object alone, the whole photo, or
both, as `satchel.locate.query_share` says. Gallery photos get two passes, the whole photo and its
object, so that the index can learn what changes between these crops (see
`satchel.search.whitening`). With `n_passes: 3`, the passes encode the whole photo, the object, and
the salient part of that crop; the three vectors are averaged, so that a wrong box costs little.
Measured in docs/decisions/0003-vector.md, 0016-clip.md and 0025-built-in-detector.md.

Gallery photos and query photos are both embedded here, and only here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Final, Protocol

import numpy as np

from satchel.arrays import Bytes, Floats, Int8s
from satchel.encode.colour import colour_histogram
from satchel.encode.crops import CropShape
from satchel.encode.output import EncoderOutput
from satchel.images import RGB
from satchel.locate.locator import Locator, main_detection
from satchel.locate.query_share import whole_share
from satchel.locate.rules import PAD
from satchel.locate.saliency import salient_box
from satchel.records import WHOLE_PHOTO, Box, Detection, PhotoEmbedding, QueryView

GALLERY_WEIGHTS: Final = (2.0, 1.0)
"""Of the whole photo and its object in the vector of a gallery photo of an encoder of one pass."""

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

    def look(places: Sequence[int], cuts: Sequence[Box]) -> list[_Look]:
        """What one pass makes of a box of each of these photos."""
        crops = [
            _cut(encoder.crop_shape, photos[at], cut, closer and partial(closer, at))
            for at, cut in zip(places, cuts, strict=True)
        ]
        output = _encode(encoder, crops)
        patches = repeat(None, len(crops)) if output.patches is None else output.patches
        rows = zip(crops, cuts, output.vectors, output.saliency, patches, strict=True)
        return [_Look(*row) for row in rows]

    if encoder.n_passes > 1:
        return _by_three(look, located, pad)
    return _gallery_photos(look, located, pad) if gallery else _queries(look, located, pad)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one pass makes of a crop: shapes as in `EncoderOutput`, without their first axis."""

    crop: RGB
    cut: Box
    vector: Floats
    saliency: Floats
    patches: Int8s | None

    @property
    def salient(self) -> Box:
        """Where the object seems to be, as fractions of the whole photo."""
        return salient_box(self.saliency).within(self.cut)

    def view(self) -> QueryView:
        """The query that shows this crop."""
        return QueryView(self.vector, colour_histogram(self.crop, self.saliency), self.patches)


Looker = Callable[[Sequence[int], Sequence[Box]], list[_Look]]


def _queries(look: Looker, located: Sequence[_Located], pad: float) -> list[PhotoEmbedding]:
    """Queries of one pass, or of two where both the photo and its main good count."""
    cuts = [
        one.box.padded(pad) if one.box and one.whole_share == 0 else WHOLE_PHOTO for one in located
    ]
    first = look(range(len(located)), cuts)
    views = [one.view() for one in first]
    both = {at: one.box for at, one in enumerate(located) if one.box and 0 < one.whole_share < 1}
    if both:
        second = look(list(both), [box.padded(pad) for box in both.values()])
        for at, good in zip(both, second, strict=True):
            views[at] = _fused(views[at], good.view(), located[at].whole_share)
    return [
        PhotoEmbedding(
            one.box or seen.salient,
            view.vector,
            view.vector,
            view.colours,
            view.patches,
            one.detections,
        )
        for one, seen, view in zip(located, first, views, strict=True)
    ]


def _gallery_photos(look: Looker, located: Sequence[_Located], pad: float) -> list[PhotoEmbedding]:
    """Gallery photos of an encoder of one pass: the whole photo, and its object."""
    places = range(len(located))
    first = look(places, [WHOLE_PHOTO] * len(located))
    boxes = [one.box or seen.salient for one, seen in zip(located, first, strict=True)]
    cuts = [box.padded(pad) if one.box else box for one, box in zip(located, boxes, strict=True)]
    second = look(places, cuts)
    embedded = []
    for one, box, whole, good in zip(located, boxes, first, second, strict=True):
        view, query = whole.view(), None
        if one.whole_share < 1:
            query = _fused(view, good.view(), one.whole_share)
        vector = _mean([whole.vector, good.vector], GALLERY_WEIGHTS)
        embedded.append(
            PhotoEmbedding(
                box, vector, whole.vector, view.colours, view.patches, one.detections, query
            )
        )
    return embedded


def _by_three(look: Looker, located: Sequence[_Located], pad: float) -> list[PhotoEmbedding]:
    """Three passes: the whole photo, the object, and the salient part of that crop.

    Saliency crops where the locator is not sure enough for a query to show the good alone.
    """
    places = range(len(located))
    first = look(places, [WHOLE_PHOTO] * len(located))
    boxes = [one.box or seen.salient for one, seen in zip(located, first, strict=True)]
    cuts = [
        one.box.padded(pad) if one.box and one.whole_share == 0 else seen.salient
        for one, seen in zip(located, first, strict=True)
    ]
    second = look(places, cuts)
    third = look(places, [one.salient for one in second])
    return [
        PhotoEmbedding(
            box,
            _mean([one.vector for one in passes], (1, 1, 1)),
            passes[0].vector,
            passes[1].view().colours,  # the third crop often cuts the object
            passes[0].patches,
            one.detections,
        )
        for one, box, *passes in zip(located, boxes, first, second, third, strict=True)
    ]


def _fused(whole: QueryView, good: QueryView, share: float) -> QueryView:
    """A query of which the whole photo has a share; the rest of the evidence is the larger's."""
    larger = whole if share > 0.5 else good
    vector = _mean([whole.vector, good.vector], (share, 1 - share))
    return replace(larger, vector=vector)


def _mean(vectors: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The weighted mean of vectors, of length 1."""
    mean = np.average(vectors, axis=0, weights=weights).astype(np.float32)
    scaled: Floats = mean / np.linalg.norm(mean)
    return scaled


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
        whole_share: see `satchel.locate.query_share.whole_share`.
    """

    box: Box | None = None
    whole_share: float = 1.0
    detections: tuple[Detection, ...] | None = None


def _located(
    locator: Locator | None, photos: Sequence[RGB], given: Sequence[Box | None]
) -> list[_Located]:
    """The given boxes, and the main detections of the other photos."""
    if locator is None:
        return [_Located(box, 0.0) if box else _Located() for box in given]
    left = [photo for photo, box in zip(photos, given, strict=True) if box is None]
    detected = iter(zip(left, locator.locate(left), strict=True))
    return [_Located(box, 0.0) if box else _of_detections(*next(detected)) for box in given]


def _of_detections(photo: RGB, detections: Sequence[Detection]) -> _Located:
    main = main_detection(detections)
    box = main.box if main else WHOLE_PHOTO
    return _Located(box, whole_share(photo, main), tuple(detections))


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


def _encode(encoder: PhotoEncoder, crops: Sequence[RGB]) -> EncoderOutput:
    """Run one pass over crops, one batch for each crop size."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for position, one in enumerate(crops):
        by_size.setdefault(one.shape, []).append(position)
    outputs = [encoder.encode(np.stack([crops[i] for i in same])) for same in by_size.values()]
    order = np.argsort([position for same in by_size.values() for position in same])
    return EncoderOutput.concatenate(outputs).rows(order)
