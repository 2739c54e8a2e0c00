"""Settings of curation: every threshold, its meaning, and the origin of its value.

These are the sections `[curate…]` of `satchel.toml`. The module imports nothing heavy, since every
command reads the settings.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from satchel.validation import StrictModel

BEST_N: Final = 10
"""Photos kept of a product, unless asked otherwise."""


class IntegrityThresholds(StrictModel):
    """Thresholds of a photo's faults. Measured: docs/decisions/0008-garbage.md."""

    shorter_side: int = Field(
        100,
        ge=1,
        description="pixels, at least; a crop of the object smaller than half of the encoder's "
        "input is mostly interpolation",
    )
    aspect: float = Field(
        3.0, ge=1, description="longer ÷ shorter side, at most; beyond are banners and strips"
    )
    flat: float = Field(
        0.995,
        ge=0,
        le=1,
        description="share of even surface, at most; studio photos with a small object on a pure "
        "background reach 0.94, an empty page is above 0.999",
    )
    screenshot: float = Field(
        0.025,
        ge=0,
        description="similarity to a page of text, at most; 1,106 real photos have up to 0.010, "
        "pages of text 0.078 or more",
    )
    panels: int = Field(1, ge=1, description="pictures in one, at most")
    sharpness: float = Field(
        5.0,
        ge=0,
        description="variance of the Laplacian, levels², at least; 1,106 real photos are above 14",
    )
    darkest: int = Field(
        215,
        ge=0,
        le=255,
        description="level, at most; a photo whose darkest 2 % are brighter is washed out; a white "
        "cloth on white background has 161",
    )
    brightest: int = Field(
        60,
        ge=0,
        le=255,
        description="level, at least; a photo whose brightest 2 % are darker is underexposed; the "
        "darkest of 1,106 real photos has 107",
    )


class ContentThresholds(StrictModel):
    """Thresholds of contents that make a photo doubtful. Measured: docs/decisions/0009-content.md.

    Set one to 1, or objects to 1000, to turn it off.
    """

    faces: float = Field(
        0.15,
        ge=0,
        le=1,
        description="share of the picture in boxes around faces; 0.3 % of a clothes shop's model "
        "photos have more, 99 % of crops that show a face on a third of them",
    )
    watermark: float = Field(
        0.3,
        ge=0,
        le=1,
        description="letters in lines on even background ÷ 16; no one of 1,664 real photos has 0.3",
    )
    objects: int = Field(
        2, ge=1, description="different objects on even background; a pair of shoes is one"
    )
    mark: float = Field(
        0.4,
        ge=0,
        le=1,
        description="share of its shop's mark that a photo carries, where a shop stamps all of "
        "its photos in one place",
    )


class DuplicateThresholds(StrictModel):
    """Thresholds of copy detection. Measured: docs/decisions/0007-duplicates.md."""

    max_hash_distance: int = Field(
        22, ge=0, lt=256, description="bits of 256 that may differ for two photos to be compared"
    )
    neighbours: int = Field(
        6, ge=0, description="nearest embeddings of each photo that are compared with it"
    )
    min_cosine: float = Field(
        0.6, ge=-1, le=1, description="standard, of two embeddings, for their photos to be compared"
    )
    min_inliers: int = Field(
        10,
        ge=8,
        description="keypoints that one similarity transform must explain, unless the pictures "
        "lie over each other as they are",
    )
    min_overlap: float = Field(
        0.7, ge=0, le=1, description="share of the smaller picture that lies over the other"
    )
    min_correlation: float = Field(0.8, ge=0.5, le=1, description="of brightness over the overlap")
    max_difference: float = Field(
        1.0,
        ge=0,
        description="greatest difference of brightness or colour that is left anywhere, after "
        "brightness is made equal; of the dev half, every recompressed or resized copy stays below "
        "0.9, every other photo above 3 (decision 7)",
    )
    max_marked: float = Field(
        0.08,
        ge=0,
        le=1,
        description="share of the overlap that differs by more than 1, where max_difference is "
        "passed; 97 of 100 watermarks cover less, and other photos whose hue does not turn differ "
        "over 0.14 or more (decision 7)",
    )
    max_turned: float = Field(
        0.4,
        ge=0,
        description="greatest difference of colour where hue turned, where max_difference is "
        "passed; the grey ink of watermarks stays below 0.21, other photos that differ over less "
        "than max_marked are above 0.79 (decision 7)",
    )


class GarbageRules(StrictModel):
    """Outlier score of a photo among the others, and the states it leads to.

    The score is a logistic regression on cosines (`satchel.curate.garbage.Classification`): the
    log-odds that a photo is wrong where every second one is. Weights are per 1 of standard cosine
    (`satchel.encode.fit`), fitted by `benchmarks/garbage.py fit` on half A of the products of two
    galleries.
    """

    level: float = Field(
        31.9, description="weight of the similarity of the product's photos to each other"
    )
    centre: float = Field(-33.5, description="weight of the cosine to the product's centre")
    near: float = Field(
        -7.1, description="weight of the cosine to the nearest photos of the product"
    )
    other: float = Field(3.0, description="weight of the cosine to the nearest other product")
    enlarged: float = Field(
        50.4, description="weight of the similarity to enlarged photos of the product"
    )
    off_colour: float = Field(
        1.5,
        description="weight of how much less similar its colours are to the product's than usual",
    )
    constant: float = Field(2.1, description="intercept")
    doubtful_at: float = Field(-0.4, description="score from which on a photo is doubtful")
    dropped_at: float = Field(0.8, description="score from which on a photo is dropped")
    reason_at: float = Field(
        1.0,
        description="log-odds that a figure adds, against the catalogue's median, to be a reason",
    )
    neighbours: int = Field(
        3, ge=1, description="nearest photos that the weights near and enlarged apply to"
    )
    trusted_peers: int = Field(
        2,
        ge=0,
        description="further trusted photos a product must have before any of its photos is "
        "dropped for its vector: of two photos that differ, either may be wrong",
    )


class CurationRules(StrictModel):
    """All settings of curation."""

    best: int = Field(BEST_N, ge=1, description="photos kept of a product, at most")
    integrity: IntegrityThresholds = IntegrityThresholds()
    content: ContentThresholds = ContentThresholds()
    duplicates: DuplicateThresholds = DuplicateThresholds()
    garbage: GarbageRules = GarbageRules()
