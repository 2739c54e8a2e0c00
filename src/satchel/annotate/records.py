"""Records of annotation files: an annotated photo, and a box that is left out.

Boxes are fractions of the *upright* photo, as everywhere in Satchel: as a browser or CVAT shows it,
turned by its EXIF orientation.
"""

from __future__ import annotations

from dataclasses import dataclass

from satchel.records import LabelledBox, Problem
from satchel.text import printable


@dataclass(frozen=True, slots=True)
class AnnotatedPhoto:
    """A photo with its boxes.

    Attributes:
        path: of the photo as the annotation file names it, with `/`; never trusted.
        width, height: in pixels, upright; None where the format does not say them.
        boxes: none where there is nothing in the photo, or where nobody has labelled it yet.
        refused: how many further boxes of it cannot be used; each is a `BoxProblem`.
    """

    path: str
    width: int | None
    height: int | None
    boxes: tuple[LabelledBox, ...]
    refused: int = 0

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
        line: 1-based, in the file that holds the annotation; 0 where it has no lines.
    """

    photo: str
    line: int

    @classmethod
    def of(cls, photo: str, line: int, reason: str) -> BoxProblem:
        """Make a problem that names photo and line."""
        name = printable(photo) or "no photo"
        return cls(f"{name}, line {line:,}" if line else name, reason, photo, line)
