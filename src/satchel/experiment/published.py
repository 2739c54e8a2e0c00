"""The figures that the project's seed published, on its own private photos of bags.

They stand beside ours as a reference. They are no baseline: nobody else has the photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SeedClassifier:
    """A classifier of the seed.

    Attributes:
        photos: of each product.
        cleaned: whether they were picked by hand; else as they were crawled.
        top: k → share of the test photos, in [0, 1], whose product is among the first k.
    """

    products: int
    photos: int
    cleaned: bool
    top: Mapping[int, float]


CLASSIFIERS: Final = (
    SeedClassifier(81, 50, False, {1: 0.36, 5: 0.64}),
    SeedClassifier(286, 50, False, {1: 0.41, 2: 0.54, 3: 0.60, 5: 0.68}),
    SeedClassifier(419, 50, False, {1: 0.41, 2: 0.54, 3: 0.60, 5: 0.71}),
    SeedClassifier(829, 10, True, {1: 0.70742, 2: 0.82349, 3: 0.86607, 5: 0.88942}),
)

ENCODERS: Final[Mapping[str, Mapping[int, float]]] = {
    "triplet": {10: 0.873, 81: 0.390},
    "center": {10: 0.892, 81: 0.4107},
    "cascaded": {10: 0.698, 81: 0.109},
}
"""Loss → products → accuracy, in [0, 1]; 10 products with 110 photos each, 81 with 50."""

DIFFERENT_DATA: Final = (
    "The seed's figures were measured on its own photos, which are private; ours on this "
    "catalogue's. The data differ, so the two stand beside each other as a reference: neither is "
    "better for having the larger number."
)


def classifiers_by_photos() -> dict[str, tuple[SeedClassifier, ...]]:
    """The classifiers by what they were trained on, in words."""
    found: dict[str, tuple[SeedClassifier, ...]] = {}
    for size in CLASSIFIERS:
        name = f"{size.photos} {'cleaned' if size.cleaned else 'crawled'} each"
        found[name] = (*found.get(name, ()), size)
    return found
