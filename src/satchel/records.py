"""Validated records that the stages exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle inside an upright photo, as fractions of its width and height.

    Origin top left; 0 ≤ x0 < x1 ≤ 1 and 0 ≤ y0 < y1 ≤ 1.

    Raises:
        ValueError: the corners are out of range or out of order.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (0 <= self.x0 < self.x1 <= 1 and 0 <= self.y0 < self.y1 <= 1):
            raise ValueError(
                f"expected 0 ≤ x0 < x1 ≤ 1 and 0 ≤ y0 < y1 ≤ 1, "
                f"got {(self.x0, self.y0, self.x1, self.y1)}"
            )

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The corners, left, top, right, bottom."""
        return self.x0, self.y0, self.x1, self.y1

    @property
    def width(self) -> float:
        """As a fraction of the photo's."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """As a fraction of the photo's."""
        return self.y1 - self.y0

    def within(self, outer: Box) -> Box:
        """Read this box as fractions of `outer` and return it as fractions of the photo."""
        return Box(
            outer.x0 + self.x0 * outer.width,
            outer.y0 + self.y0 * outer.height,
            min(1.0, outer.x0 + self.x1 * outer.width),
            min(1.0, outer.y0 + self.y1 * outer.height),
        )

    def iou(self, other: Box) -> float:
        """Intersection over union of two boxes, in [0, 1]."""
        across = min(self.x1, other.x1) - max(self.x0, other.x0)
        down = min(self.y1, other.y1) - max(self.y0, other.y0)
        shared = max(0.0, across) * max(0.0, down)
        return shared / (self.width * self.height + other.width * other.height - shared)

    def padded(self, share: float) -> Box:
        """Grow each side by `share` ≥ 0 of the width or height, as far as the photo reaches."""
        across, down = share * self.width, share * self.height
        return Box(
            max(0.0, self.x0 - across),
            max(0.0, self.y0 - down),
            min(1.0, self.x1 + across),
            min(1.0, self.y1 + down),
        )


@dataclass(frozen=True, slots=True)
class Detection:
    """An object that a locator found in a photo.

    Attributes:
        category: name of its class; None where the locator has no classes.
        score: in [0, 1].
        main: probability that it is the photo's main good, in [0, 1]; None where the locator does
            not say.
    """

    box: Box
    category: str | None
    score: float
    main: float | None = None


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box around one good, drawn by a person or, as a pre-label, by a model.

    Attributes:
        label: class name.
        attributes: further values that an annotation tool keeps with the box.
        score: in [0, 1], of a pre-label; None of a box that a person drew or checked.
        who: the person, where it is known.
    """

    box: Box
    label: str
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    score: float | None = None
    who: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An input that failed, and why; the others are not affected.

    Attributes:
        what: names the input: a path, a line of a file, a photo.
    """

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


WHOLE_PHOTO = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class QueryView:
    """What a query shows of a photo that is embedded for the gallery; as in `PhotoEmbedding`."""

    vector: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]
    patches: npt.NDArray[np.int8] | None = None


@dataclass(frozen=True, slots=True)
class PhotoEmbedding:
    """The embedding of one photo. Vectors are float32, of length 1.

    Attributes:
        box: of the object: given, found by the locator, or from the saliency map of the first
            pass. The box of a third pass is tighter and often loses handles and straps: good for
            an embedding, wrong as a box.
        vector: shape (d,), the weighted mean of all passes; this one is searched.
        whole: shape (d,), of the first pass alone: the whole photo, or the object in a query of
            one pass whose box is known before.
        colours: shape (c,), colour histogram; see `satchel.encode.colour`.
        patches: shape (p, e), int8, patch embeddings of the first pass; None where the encoder has
            no patch output.
        detections: all that the locator found, best first, empty where it found no product; None
            where none was asked.
        query: of a gallery photo of which a query would show the main good alone: that crop. None
            where it would show the whole photo.
        picture: shape (h, w, 3), uint8, a small copy of a photo that is to be identified, which is
            compared with the catalogue's pictures; else None.
    """

    box: Box
    vector: npt.NDArray[np.float32]
    whole: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]
    patches: npt.NDArray[np.int8] | None = None
    detections: tuple[Detection, ...] | None = None
    query: QueryView | None = None
    picture: npt.NDArray[np.uint8] | None = None

    @property
    def descriptor(self) -> npt.NDArray[np.float32]:
        """Vector and colours concatenated, shape (d + c,): the input of `rank_products`."""
        import numpy as np  # noqa: PLC0415 - records are imported where numpy is not needed

        return np.concatenate([self.vector, self.colours])


PRODUCT_FIELDS = ("brand", "name", "category", "colour", "size")


@dataclass(frozen=True, slots=True)
class Product:
    """A catalogue model. `attributes` holds what every photo row of it agrees on."""

    code: str
    brand: str | None = None
    name: str | None = None
    category: str | None = None
    colour: str | None = None
    size: str | None = None
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of an attribute, and how many products have it."""

    value: str
    products: int


@dataclass(frozen=True, slots=True)
class Facet:
    """An attribute that products can be filtered by; its values by how many products have them."""

    attribute: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class ProductPhoto:
    """A stored photo of a product; `width` and `height` in pixels, upright.

    Attributes:
        link_id: of the product–photo row; decisions refer to it.
        state: kept, doubtful or dropped; only kept ones are searched, doubtful ones where a
            product has nothing better.
        reasons: for a state other than kept, each a JSON object with a `kind`.
        attributes: the further columns of its row of the catalogue file.
    """

    sha256: str
    width: int
    height: int
    role: str | None = None
    source: str | None = None
    license: str | None = None
    link_id: int = 0
    state: str = "kept"
    reasons: tuple[Mapping[str, Any], ...] = ()
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Verdict(StrEnum):
    """What an answer says: the first candidate very probably, probably; one of a few; unclear."""

    IDENTIFIED = "identified"
    PROBABLE = "probable"
    ONE_OF = "one_of"
    UNCERTAIN = "uncertain"
    NOT_IN_CATALOGUE = "not_in_catalogue"


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute in which look-alikes differ.

    Attributes:
        kind: size, hardware, material, colour or other: what to inspect.
        attribute: its name in the catalogue, or the kind's where several are put together.
        values: of each product, None where the catalogue has none.
    """

    kind: str
    attribute: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A product of a group that photos cannot tell apart.

    Attributes:
        confidence: probability that this one is right, as without the group.
        photo: SHA-256 of its photo nearest to the item; None where others were nearer by far.
    """

    product: Product
    confidence: float
    photo: str | None


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """A group that counts as one candidate.

    Attributes:
        members: the candidate's own product first, then the others, nearest first.
        differences: attributes in which they differ, values in the order of the members.
    """

    members: tuple[LookAlike, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One catalogue model proposed for an item, or a group of look-alikes by its nearest member.

    Attributes:
        rank: 1 for the likeliest.
        score: cosine in [-1, 1] between the item and the product's nearest photos.
        confidence: probability that this is the right model, or one of its look-alikes, in [0, 1];
            they sum to 1 at most; the rest is the probability of "something else". See
            `satchel.confidence.model`.
        photo: SHA-256 of the product's photo that is nearest to the item.
        likely: whether the answer names it: see `Identification.likely`.
        look_alikes: the group that it represents, where photos cannot distinguish it from others.
    """

    rank: int
    product: Product
    score: float
    confidence: float
    photo: str
    likely: bool
    look_alikes: LookAlikes | None = None


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one item: ranked candidates, likeliest first, and a verdict.

    Attributes:
        boxes: where the object was found, one for each photo of the item.
        detections: see `PhotoEmbedding.detections`, for each photo of the item.
        in_catalogue: probability that the item's model is in the catalogue, in [0, 1].
        likely: how many of the first candidates the answer names: 1 if the first one, 2 to 5 with
            the verdict "one of"; 0 where it names none.
        precision: share of the answers "identified" that are right, at least, in (0, 1).
        calibrated: whether confidences were fitted on the workspace's own photos.
        where: the filter that the candidates pass, attribute → values of which each has one; empty
            without a filter.
        own_pictures: for each photo of the item, codes of the ranked products whose own picture in
            the catalogue it is, or a copy of; usually none.
        different_items: numbers of the photos, from 1, in groups that seem to show different items;
            empty where they seem to show one.
    """

    verdict: Verdict
    candidates: tuple[Candidate, ...]
    boxes: tuple[Box, ...]
    in_catalogue: float
    likely: int
    precision: float
    calibrated: bool
    detections: tuple[tuple[Detection, ...] | None, ...]
    where: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    own_pictures: tuple[tuple[str, ...], ...] = ()
    different_items: tuple[tuple[int, ...], ...] = ()

    @property
    def own_picture_of(self) -> tuple[str, ...]:
        """Codes of the products whose own picture every photo is."""
        first, *others = self.own_pictures or ((),)
        return tuple(code for code in first if all(code in other for other in others))
