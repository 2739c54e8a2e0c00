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
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from satchel.errors import UsageError
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason

PARTS: Final = ("train", "val", "test")
Protocol = Literal["closed", "open"]
Named = tuple[str, str]
"""A photo of a product: (code, SHA-256)."""


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A labelled photo, the input of a split.

    Attributes:
        group: photos of equal group belong together: copies, or photos of one item.
        part: the part that the catalogue's own column names; None where it names none.
    """

    code: str
    sha256: str
    group: int
    part: str | None = None


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


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How a split is made.

    Attributes:
        val, test: share of each product's photos (closed) or of the products (open).
        products: how many products take part; all where None. A larger number takes the same
            ones and more.
        photos_per_product: training photos of each product, at most; all where None.
        fewest_photos: products with fewer take no part.
    """

    protocol: Protocol = "closed"
    val: float = 0.1
    test: float = 0.2
    products: int | None = None
    photos_per_product: int | None = None
    fewest_photos: int = 1
    seed: int = 0


def make_split(
    photos: Sequence[LabelledPhoto],
    options: SplitOptions,
    *,
    queries: Collection[Named] = (),
    unknown: Sequence[str] = (),
) -> Split:
    """Split photos; photos that name their part (`LabelledPhoto.part`) go there, all or none.

    Args:
        queries: photos that are real queries; the split is open then, and products without any
            are trained on.
        unknown: SHA-256 of real queries whose good the catalogue does not have.

    Raises:
        UsageError: the options leave nothing to train on, or only some photos name their part.
    """
    chosen = _chosen_products(photos, options)
    parts: dict[str, list[LabelledPhoto]]
    left_out = torn = 0
    named = {photo.part is not None for photo in chosen}
    if named == {True}:
        parts = {name: [p for p in chosen if p.part == name] for name in PARTS}
        torn = sum(len(sides) > 1 for sides in _sides(chosen, lambda p: str(p.part)).values())
    elif True in named:
        raise UsageError("expected all photos to name their part of the split, or none")
    elif options.protocol == "closed":
        parts = _closed(chosen, options)
    else:
        parts, left_out = _open(chosen, options, set(queries))
    parts["train"] = _capped(parts["train"], options)
    if not parts["train"]:
        raise UsageError("expected photos to train on, none are left; ask for less")
    return Split(
        protocol=options.protocol,
        seed=options.seed,
        made_by={
            name: getattr(options, name)
            for name in ("val", "test", "products", "photos_per_product", "fewest_photos")
        },
        left_out=left_out,
        torn_groups=torn,
        queries=tuple(
            sorted(
                {(p.code, p.sha256) for part in parts.values() for p in part}.intersection(queries)
            )
        ),
        unknown=tuple(sorted(set(unknown))),
        **{name: tuple(sorted((p.code, p.sha256) for p in parts[name])) for name in PARTS},
    ).frozen()


def _chosen_products(photos: Sequence[LabelledPhoto], options: SplitOptions) -> list[LabelledPhoto]:
    counts = Counter(photo.code for photo in photos)
    able = sorted(code for code, count in counts.items() if count >= options.fewest_photos)
    if options.products is not None:
        if len(able) < options.products:
            raise UsageError(
                f"expected {options.products} products with {options.fewest_photos} photos or "
                f"more, there are {len(able)}"
            )
        order = np.random.default_rng(options.seed).permutation(len(able))
        able = [able[at] for at in order[: options.products]]
    members = set(able)
    return [photo for photo in photos if photo.code in members]


def _closed(
    photos: Sequence[LabelledPhoto], options: SplitOptions
) -> dict[str, list[LabelledPhoto]]:
    """Deal out each product's groups; a group of several products goes with the first of them."""
    side_of: dict[int, str] = {}
    for code, own in _by(photos, lambda photo: photo.code).items():
        sizes = Counter(photo.group for photo in own)
        wanted = {name: share * len(own) for name, share in _shares(options).items()}
        for photo in own:
            if photo.group in side_of:
                wanted[side_of[photo.group]] -= 1
        fresh = sorted(group for group in sizes if group not in side_of)
        rng = np.random.default_rng([options.seed, _number(code)])
        for at in rng.permutation(len(fresh)):
            # Training first, then the part furthest below its share.
            side = max(PARTS, key=lambda name: (wanted[name], name == "train"))
            side_of[fresh[at]] = side
            wanted[side] -= sizes[fresh[at]]
    for part in ("val", "test"):
        if part not in side_of.values():
            _deal_to_empty(part, photos, side_of, options)
    return {name: [p for p in photos if side_of[p.group] == name] for name in PARTS}


def _deal_to_empty(
    part: str, photos: Sequence[LabelledPhoto], side_of: dict[int, str], options: SplitOptions
) -> None:
    """Give a part its share of all photos: one training group each of as many products.

    Needed where every product has too few photos to give one by its own shares. A product that is
    trained on one group alone keeps it, as does one whose groups hold other products too.
    """
    share = _shares(options)[part]
    wanted = max(1, round(share * len(photos))) if share else 0
    sizes = Counter(photo.group for photo in photos)
    by_code = _by(photos, lambda photo: photo.code)
    for code in sorted(by_code, key=lambda code: _number(f"{options.seed} {code}")):
        own = Counter(photo.group for photo in by_code[code])
        groups = [group for group in own if side_of[group] == "train"]
        if wanted > 0 and len(groups) > 1 and own[groups[-1]] == sizes[groups[-1]]:
            side_of[groups[-1]] = part
            wanted -= sizes[groups[-1]]


def _open(
    photos: Sequence[LabelledPhoto], options: SplitOptions, queries: Collection[Named] = ()
) -> tuple[dict[str, list[LabelledPhoto]], int]:
    """Deal out products; photos whose group is then in two parts are left out.

    Where there are real queries, only products that have some: the others are trained on.
    """
    dealt = [p for p in photos if not queries or (p.code, p.sha256) in queries]
    codes = sorted({photo.code for photo in dealt})
    order = np.random.default_rng(options.seed).permutation(len(codes))
    test = round(options.test * len(codes))
    val = round(options.val * len(codes))
    side_of = dict.fromkeys((photo.code for photo in photos), "train") | {
        codes[at]: "test" if place < test else "val" if place < test + val else "train"
        for place, at in enumerate(order)
    }
    sides = _sides(photos, lambda photo: side_of[photo.code])
    parts: dict[str, list[LabelledPhoto]] = {name: [] for name in PARTS}
    left_out = 0
    for photo in photos:
        if len(sides[photo.group]) > 1:
            left_out += 1
        else:
            parts[side_of[photo.code]].append(photo)
    return parts, left_out


def _capped(photos: Sequence[LabelledPhoto], options: SplitOptions) -> list[LabelledPhoto]:
    """At most so many photos of each product; a larger cap takes the same ones and more."""
    if options.photos_per_product is None:
        return list(photos)
    kept = []
    for code, own in _by(photos, lambda photo: photo.code).items():
        order = np.random.default_rng([options.seed, _number(code)]).permutation(len(own))
        kept += [own[at] for at in order[: options.photos_per_product]]
    return kept


def _shares(options: SplitOptions) -> dict[str, float]:
    return {
        "train": 1 - options.val - options.test,
        "val": options.val,
        "test": options.test,
    }


def _by(
    photos: Iterable[LabelledPhoto], key: Callable[[LabelledPhoto], str]
) -> dict[str, list[LabelledPhoto]]:
    """Photos by key, keys and photos in ascending order, whatever order they came in."""
    by_key: dict[str, list[LabelledPhoto]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: (photo.code, photo.sha256)):
        by_key[key(photo)].append(photo)
    return dict(sorted(by_key.items()))


def _sides(
    photos: Iterable[LabelledPhoto], side: Callable[[LabelledPhoto], str]
) -> Mapping[int, set[str]]:
    """The parts that each group is in."""
    sides: dict[int, set[str]] = defaultdict(set)
    for photo in photos:
        sides[photo.group].add(side(photo))
    return sides


def _number(code: str) -> int:
    return int.from_bytes(hashlib.sha256(code.encode()).digest()[:8])
