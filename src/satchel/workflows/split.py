"""Training data of a workspace: photos, groups of copies, splits, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from satchel.catalog.training import KeptPhoto
from satchel.curate.copies import compared_pairs
from satchel.curate.duplicates import Groups
from satchel.errors import UsageError
from satchel.market.learning.decided import absent_listings, certified_listings, taken_photos
from satchel.served import served_space
from satchel.train.batches import TrainingPhotos
from satchel.train.dealing import LabelledPhoto, SplitOptions, make_split
from satchel.train.splits import Named, Split
from satchel.workspace import Workspace

FEWEST_CERTIFIED: Final = 20
"""Products with photos of certified listings from which a split is made of decisions."""

ITEM = "item"
"""Column of a catalogue file that identifies the physical item on a photo."""


def workspace_photos(workspace: Workspace) -> list[KeptPhoto]:
    """Every kept photo of the workspace, with the boxes of the encoder and locator that are served.

    Raises:
        UsageError: there are none.
    """
    photos = workspace.catalogue.kept_photos(served_space(workspace).id)
    if not photos:
        raise UsageError("the catalogue has no photos to train on; run `satchel import` first")
    return photos


def labelled(
    workspace: Workspace, photos: Sequence[KeptPhoto], *, column: str | None
) -> list[LabelledPhoto]:
    """Photos with their groups: one picture, copies that curation confirmed, one item.

    Args:
        column: of the catalogue file, that names each photo's part of the split.

    Raises:
        UsageError: the column is missing from a photo or names something else than a part.
    """
    groups = _groups(workspace, photos)
    return [
        LabelledPhoto(photo.code, photo.sha256, group, _part(photo, column))
        for photo, group in zip(photos, groups, strict=True)
    ]


def workspace_split(
    workspace: Workspace, options: SplitOptions, *, column: str | None = None
) -> Split:
    """Make a split of the workspace's photos.

    Raises:
        UsageError: nothing would be left to train on.
    """
    photos = workspace_photos(workspace)
    return make_split(labelled(workspace, photos, column=column), options)


def decisions_split(workspace: Workspace, options: SplitOptions) -> tuple[Split, int]:
    """Make a split whose queries are photos of certified listings, of products never trained on.

    Photos that the gallery took from certified listings (`satchel learn`) and keeps are queries;
    the catalogue's other photos are searched. Goods that experts found to be missing in the
    catalogue are its unknown queries.

    Args:
        options: of which the protocol is always open.

    Returns:
        the split, and how many photos of certified listings the gallery has not taken or kept.

    Raises:
        UsageError: fewer than `FEWEST_CERTIFIED` products have photos of certified listings and
            others.
    """
    photos = labelled(workspace, workspace_photos(workspace), column=None)
    engine = workspace.catalogue.engine
    named = {(photo.code, photo.sha256) for photo in photos}
    queries = named & {(one.code, one.sha256) for one in taken_photos(engine)}
    certified = sum(len(one.photos) for one in certified_listings(engine))
    codes = {code for code, _ in queries} & {code for code, _ in named - queries}
    if len(codes) < FEWEST_CERTIFIED:
        raise UsageError(
            f"expected {FEWEST_CERTIFIED} or more products with photos of certified listings, "
            f"whose sellers let them help, and with other photos; got {len(codes)} ({certified:,} "
            f"photos of certified listings, of which the gallery keeps {len(queries):,}); certify "
            "more, run `satchel learn`, and try again"
        )
    absent = [photo.sha256 for one in absent_listings(engine) for photo in one.photos]
    split = make_split(photos, replace(options, protocol="open"), queries=queries, unknown=absent)
    return split, certified - len(queries)


def freeze(split: Split, path: Path) -> None:
    """Write a split to its file.

    Raises:
        UsageError: the file exists: a split is immutable.
    """
    if path.exists():
        raise UsageError(f"{path} exists, and a split is never changed; give another name")
    split.save(path)


def split_workspace(
    workspace: Workspace, path: Path, options: SplitOptions, *, column: str | None = None
) -> Split:
    """Make a split of the workspace's photos and freeze it in a file.

    Raises:
        UsageError: the file exists, or nothing would be left to train on.
    """
    split = workspace_split(workspace, options, column=column)
    freeze(split, path)
    return split


def part_photos(
    workspace: Workspace,
    photos: Sequence[KeptPhoto],
    named: Sequence[Named],
    products: Sequence[str],
) -> TrainingPhotos:
    """The photos of a part of a split, labelled by place in `products`.

    Raises:
        UsageError: the catalogue no longer has one of them as a kept photo.
    """
    known: Mapping[Named, KeptPhoto] = {(p.code, p.sha256): p for p in photos}
    missing = [name for name in named if name not in known]
    if missing:
        code, sha256 = missing[0]
        raise UsageError(
            f"{len(missing)} photos of the split are no longer kept photos of the catalogue, the "
            f"first {sha256[:12]} of {code}; make a new split with `satchel split`"
        )
    place = {code: at for at, code in enumerate(products)}
    return TrainingPhotos(
        names=tuple(sha256 for _, sha256 in named),
        labels=np.array([place.get(code, -1) for code, _ in named], np.int64),
        boxes=tuple(known[name].box for name in named),
        read=workspace.photos.read,
    )


def _groups(workspace: Workspace, photos: Sequence[KeptPhoto]) -> list[int]:
    pairs: list[tuple[int, int]] = []
    first: dict[object, int] = {}
    for row, photo in enumerate(photos):
        marks: list[object] = [photo.sha256]
        if photo.digest is not None:
            marks.append(photo.digest)
        if item := photo.attributes.get(ITEM):
            marks.append((photo.code, item))
        pairs += [(first.setdefault(mark, row), row) for mark in marks]
    limits = workspace.settings.curate.duplicates
    for (a, b), comparison in compared_pairs(workspace.catalogue.curation).items():
        if a in first and b in first and comparison.same(limits):
            pairs.append((first[a], first[b]))
    labels: list[int] = Groups.connected(len(photos), np.array(pairs, np.int64)).labels.tolist()
    return labels


def _part(photo: KeptPhoto, column: str | None) -> str | None:
    if column is None:
        return None
    part = photo.attributes.get(column)
    if part not in ("train", "val", "test"):
        raise UsageError(
            f"expected train, val or test in the column {column!r} of every photo, got {part!r} "
            f"for {photo.sha256[:12]} of {photo.code}"
        )
    return str(part)
