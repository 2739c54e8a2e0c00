"""Deal labelled photos out to the parts of a split: groups of a product, or whole products."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from satchel.errors import UsageError
from satchel.train.splits import PARTS, Named, Protocol, Split


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
