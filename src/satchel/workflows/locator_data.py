"""Photos with boxes to train a detector on: of the catalogue, or of an annotation file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from satchel.annotate.checks import BadAnnotation
from satchel.annotate.class_map import ClassMap
from satchel.annotate.matching import check_proportions
from satchel.annotate.photo_finder import PhotoFinder
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.annotate.sources import open_annotations
from satchel.catalog.annotations import BoxSource
from satchel.catalog.products import StoredPhoto
from satchel.decoding.decoder import Decoder
from satchel.decoding.pool import DecoderPool
from satchel.errors import PhotoError, SatchelError, UsageError
from satchel.images import read_photo
from satchel.locate.card import CATEGORIES
from satchel.parallel import cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import LabelledBox, Problem
from satchel.train.locator.frozen import FrozenPhoto, FrozenPhotos
from satchel.train.settings import LocatorSettings
from satchel.workspace import Workspace

CHECKED_SIDE_PX: Final = 64
"""Photos are decoded at this size to see whether they can be."""


@dataclass(slots=True)
class GatheredPhotos:
    """The data of a new run.

    Attributes:
        boxes: of each class, in both parts.
        left_out: boxes whose class is not trained.
        empty: photos without boxes, which show that there is no product.
    """

    photos: FrozenPhotos
    classes: tuple[str, ...]
    boxes: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    empty: int = 0


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A photo with its boxes: SHA-256 or path."""

    photo: str
    boxes: tuple[LabelledBox, ...]


def gather_photos(
    workspace: Workspace,
    settings: LocatorSettings,
    *,
    on_problem: Callable[[Problem], None],
    progress: Progress = SILENT,
) -> GatheredPhotos:
    """Collect the photos of a run, each decoded once to see that it can be.

    Args:
        on_problem: called with each photo or box that is left out.

    Raises:
        UsageError: nothing is left to train on or to validate with, or a file cannot be read.
    """
    classes = ClassMap.read(pairs=[f"{old}={new}" for old, new in settings.class_map.items()])
    progress.begin("check photos", 0)
    with DecoderPool(memory_bytes=workspace.settings.photos.limits().max_decode_bytes) as decoder:

        def collected(source: str | None) -> list[_Labelled]:
            labelled = (
                _of_catalogue(workspace)
                if source is None
                else _of_file(Path(source), settings, workspace, decoder, on_problem)
            )
            return list(_usable(labelled, workspace, decoder, on_problem, progress))

        photos = collected(settings.data)
        if settings.val_data is not None:
            parts = {"train": photos, "val": collected(settings.val_data)}
        else:
            parts = _split(photos, settings.val_share)
    return _frozen(parts, classes, settings)


def photo_reader(workspace: Workspace) -> Callable[[str], bytes]:
    """Read photos that are named as in `FrozenPhoto.photo`."""
    limits = workspace.settings.photos.limits()

    def read(photo: str) -> bytes:
        return read_photo(Path(photo), limits) if "/" in photo else workspace.photos.read(photo)

    return read


def _of_catalogue(workspace: Workspace) -> Iterator[_Labelled]:
    """Photos of the catalogue whose boxes a person drew."""
    for one in workspace.catalogue.annotations.current(source=BoxSource.PERSON):
        yield _Labelled(one.photo, one.boxes)


def _of_file(
    path: Path,
    settings: LocatorSettings,
    workspace: Workspace,
    decoder: Decoder,
    on_problem: Callable[[Problem], None],
) -> Iterator[_Labelled]:
    """Photos of an annotation file, found in their folder."""
    zipped = path.is_file() and path.suffix.lower() == ".zip"
    if zipped and settings.photos is None:
        raise UsageError(
            f"expected --photos with {path.name}: training reads photos many times, so they have "
            "to lie in a folder; unpack the archive, or name the folder that they are in"
        )
    limits = workspace.settings.photos.limits()
    with open_annotations(path, settings.format) as source:
        folder = Path(settings.photos) if settings.photos else source.folder
        finder = PhotoFinder(folder)

        def found(one: AnnotatedPhoto | BoxProblem) -> _Labelled | Problem:
            if isinstance(one, BoxProblem):
                return one
            if one.refused and not one.boxes:  # it would teach that there is no product
                return Problem(one.path, "none of its boxes can be used, so it is left out")
            place = finder.find(one.path)
            if place is None:
                return Problem(
                    one.path, f"no such photo in {folder}; name its folder with --photos"
                )
            try:
                height, width = decoder.decode(
                    read_photo(place, limits), min_side_px=CHECKED_SIDE_PX, limits=limits
                ).shape[:2]
                check_proportions(one, StoredPhoto(0, "", width, height))
            except (PhotoError, BadAnnotation) as error:
                return Problem(one.path, str(error))
            return _Labelled(str(place.resolve()), one.boxes)

        for one in map_in_order(found, source.read(), workers=cores()):
            if isinstance(one, Problem):
                on_problem(one)
            else:
                yield one


def _usable(
    photos: Iterable[_Labelled],
    workspace: Workspace,
    decoder: Decoder,
    on_problem: Callable[[Problem], None],
    progress: Progress,
) -> Iterator[_Labelled]:
    """Leave out photos of the catalogue that cannot be read; a file's were read already."""
    for one in photos:
        if "/" not in one.photo:
            try:
                decoder.decode(workspace.photos.read(one.photo), min_side_px=CHECKED_SIDE_PX)
            except SatchelError as error:
                on_problem(Problem(one.photo, str(error)))
                continue
        progress.advance()
        yield one


def _split(photos: list[_Labelled], share: float) -> dict[str, list[_Labelled]]:
    """Hold out a share of the photos.

    They are chosen by the hash of their names: nearly the same ones when photos are added.
    """
    ordered = sorted(photos, key=lambda one: hashlib.sha256(one.photo.encode()).digest())
    count = min(len(ordered) - 1, max(1, round(share * len(ordered)))) if ordered else 0
    held_out = {one.photo for one in ordered[:count]}
    return {
        "train": [one for one in photos if one.photo not in held_out],
        "val": [one for one in photos if one.photo in held_out],
    }


def _frozen(
    parts: dict[str, list[_Labelled]], classes: ClassMap, settings: LocatorSettings
) -> GatheredPhotos:
    """Rename classes, choose those that are trained, and count."""
    for part, found in parts.items():
        if not found:
            raise UsageError(_nothing(part, settings))
    chosen = _chosen(parts["train"], classes, settings)
    result = GatheredPhotos(FrozenPhotos(()), chosen)
    frozen: list[FrozenPhoto] = []
    for part, found in parts.items():
        for one in found:
            named = [(box.box.xyxy, classes(box.label)) for box in one.boxes]
            kept = [(corners, label) for corners, label in named if label and label in chosen]
            result.left_out += len(named) - len(kept)
            result.empty += not named
            result.boxes.update(label for _, label in kept)
            frozen.append(
                FrozenPhoto(
                    part="train" if part == "train" else "val",
                    photo=one.photo,
                    boxes=tuple(corners for corners, _ in kept),
                    labels=tuple(label for _, label in kept),
                )
            )
    result.photos = FrozenPhotos(tuple(frozen))
    return result


def _chosen(
    train: Iterable[_Labelled], classes: ClassMap, settings: LocatorSettings
) -> tuple[str, ...]:
    """The classes that are trained.

    Raises:
        UsageError: there are no boxes of one of them.
    """
    labels = (classes(box.label) for one in train for box in one.boxes)
    known = {label for label in labels if label}
    chosen = settings.classes or _ordered(known)
    missing = [name for name in chosen if name not in known]
    if missing or not chosen:
        raise UsageError(
            f"expected boxes of every class to train on, got none of {', '.join(missing) or 'any'}"
            f"; the classes are {', '.join(sorted(known)) or 'none'}; see --map and --set classes"
        )
    return tuple(chosen)


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Satchel's own categories first, in their order, then the others by name."""
    known = set(names)
    own = [name for name in CATEGORIES if name in known]
    return (*own, *sorted(known - set(own)))


def _nothing(part: str, settings: LocatorSettings) -> str:
    what = "train on" if part == "train" else "validate with"
    if settings.data is None:
        return (
            f"expected photos of the catalogue with boxes that people drew to {what}, got none or "
            "one; import some with `satchel annotate import`, or name an annotation file"
        )
    return f"expected photos to {what}, got none of {settings.val_data or settings.data}"
