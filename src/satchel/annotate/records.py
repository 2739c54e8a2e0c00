"""Records of annotation: a labelled box, an annotated photo, and a box that is left out.

Boxes are fractions of the *upright* photo, as everywhere in Satchel: as a browser or CVAT shows it,
turned by its EXIF orientation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from satchel.records import Box, Problem
from satchel.text import printable


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box around one good.

    Attributes:
        label: class name, as the annotation tool has it.
        attributes: further values that the tool keeps with the box.
        score: in [0, 1], of a pre-label, which a model drew; None of a box that a person drew or
            checked.
        who: of the person, where the format says it.
    """

    box: Box
    label: str
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    score: float | None = None
    who: str | None = None


@dataclass(frozen=True, slots=True)
class AnnotatedPhoto:
    """A photo with its boxes.

    Attributes:
        path: of the photo as the annotation file names it, with `/`; never trusted.
        width, height: in pixels, upright; None where the format does not say them.
        boxes: none where there is nothing in the photo, or where nobody has labelled it yet.
    """

    path: str
    width: int | None
    height: int | None
    boxes: tuple[LabelledBox, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels.

        Raises:
            ValueError: they are not known, and a format without fractions needs them.
        """
        if self.width is None or self.height is None:
            raise ValueError(f"the width and height of {self.path} are not known")
        return self.width, self.height

    @property
    def checked(self) -> bool:
        """Whether a person drew one of the boxes."""
        return any(one.score is None for one in self.boxes)


@dataclass(frozen=True, slots=True)
class BoxProblem(Problem):
    """A box or a photo that is left out of what a file holds.

    Attributes:
        photo: path as the file names it; empty where no photo is named.
        line: 1-based, in the file that holds the annotation.
    """

    photo: str
    line: int

    @classmethod
    def of(cls, photo: str, line: int, reason: str) -> BoxProblem:
        """Make a problem that names photo and line."""
        name = printable(photo) or "no photo"
        return cls(f"{name}, line {line:,}", reason, photo, line)
