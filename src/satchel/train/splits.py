"""Train, validation and test splits, frozen in a file with its hash.

Photos that belong together (copies of one photo, photos of one item) are never in two parts. Two
protocols: *closed*, the same products in all parts; *open*, products unseen in training in the
others. Of some photos it is known that they are such as people ask with: real photos of a good, as
experts certified it. A split that has them is open, deals out the products that have them, and is
validated and tested with these photos alone, searched among all the others.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from satchel.errors import UsageError
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason

PARTS: Final = ("train", "val", "test")
Protocol = Literal["closed", "open"]
Named = tuple[str, str]
"""A photo of a product: (code, SHA-256)."""


class Split(StrictModel):
    """A frozen split. `hash` is of everything below it."""

    hash: str = ""
    protocol: Protocol
    seed: int
    made_by: dict[str, str | int | float | None] = Field(
        default_factory=dict, description="the options it was made with"
    )
    train: tuple[Named, ...]
    val: tuple[Named, ...]
    test: tuple[Named, ...]
    left_out: int = Field(0, description="photos left out: their group would be in two parts")
    torn_groups: int = Field(
        0, description="groups of copies that the catalogue's own column puts in two parts"
    )
    queries: tuple[Named, ...] = Field((), description="photos of the parts that are real queries")
    unknown: tuple[str, ...] = Field(
        (), description="SHA-256 of real queries whose good the catalogue did not have"
    )

    def part(self, name: str) -> tuple[Named, ...]:
        """The photos of a part."""
        if name not in PARTS:
            raise UsageError(f"expected a part of {', '.join(PARTS)}, got {name!r}")
        photos: tuple[Named, ...] = getattr(self, name)
        return photos

    def products(self, name: str = "train") -> tuple[str, ...]:
        """The codes of a part, in ascending order."""
        return tuple(sorted({code for code, _ in self.part(name)}))

    def searched(self, name: str) -> tuple[Named, ...]:
        """The photos that a part's queries are searched in.

        The training photos, where its products are trained on; else the part itself, or all that
        are not real queries, where the split has some.
        """
        if self.queries:
            asked = set(self.queries)
            return tuple(photo for part in PARTS for photo in self.part(part) if photo not in asked)
        return self.part(name) if self.protocol == "open" else self.train

    def answerable(self, name: str) -> tuple[Named, ...]:
        """The queries of a part whose product can be found.

        Products that are trained on are found among the training photos; unseen ones among the
        part itself, where the only photo of a product has no other to match. Where the split has
        real queries, they are found among all other photos.
        """
        photos = self.part(name)
        if self.queries:
            asked, known = set(self.queries), {code for code, _ in self.searched(name)}
            return tuple(photo for photo in photos if photo in asked and photo[0] in known)
        if self.protocol == "open":
            count = Counter(code for code, _ in photos)
            return tuple(photo for photo in photos if count[photo[0]] > 1)
        known = {code for code, _ in self.train}
        return tuple(photo for photo in photos if photo[0] in known)

    def frozen(self) -> Split:
        """The same with its hash."""
        return self.model_copy(update={"hash": self._digest()})

    def _digest(self) -> str:
        # What was added later is left out where there is none of it: older hashes hold.
        added = {name for name in ("queries", "unknown") if not getattr(self, name)}
        content = self.model_dump(mode="json", exclude={"hash", *added})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write it, one photo a line, so that two splits can be compared as text."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (self.frozen().model_dump_json(indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split.

        Raises:
            UsageError: there is none, it is damaged, or it was changed after it was frozen.
        """
        try:
            split = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            known = ", ".join(sorted(one.stem for one in path.parent.glob("*.json"))) or "none"
            raise UsageError(
                f"expected a split at {path}: {reason(error)}; the splits are: {known}; make one "
                f"with `satchel split {path.stem}`"
            ) from None
        except ValidationError as error:
            raise UsageError(
                f"{path} is not a split: {reason(error)}; restore it, or make "
                "a new one with `satchel split` under another name"
            ) from None
        if split.hash != split._digest():
            raise UsageError(
                f"{path} was changed after it was frozen (its hash is another); "
                "make a new one with `satchel split` under another name"
            )
        return split
