"""Tasks of runs, built from a workspace and a split. Needs torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from satchel.adapt.files import Start
from satchel.adapt.task import AdaptTask
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serving_card
from satchel.errors import UsageError
from satchel.served import load_locator
from satchel.train.classifier import ClassifierTask
from satchel.train.encoder import EncoderTask
from satchel.train.locator.frozen import FrozenPhotos, samples_of
from satchel.train.locator.training import LocatorTask, read_classes
from satchel.train.runs import Run
from satchel.train.settings import LocatorSettings
from satchel.train.splits import Split
from satchel.workflows.locator_data import photo_reader
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workspace import Workspace


def run_split(workspace: Workspace, run: Run) -> Split:
    """The split of a run, as it was when the run began.

    Raises:
        UsageError: it is missing or was changed, or the run's folder was never completed.
    """
    record = run.read()
    if not record.split:
        raise UsageError(
            f"the run {run.name} was ended while its folder was being made, and cannot be resumed; "
            f"remove {run.folder}, and begin a new run"
        )
    split = Split.load(workspace.split_path(record.split))
    if split.hash != record.split_hash:
        raise UsageError(
            f"the split {record.split} is another one than the run {run.name} began with; "
            "begin a new run"
        )
    return split


def locator_task(workspace: Workspace, run: Run) -> LocatorTask:
    """The photos with boxes that a run froze when it began.

    Raises:
        UsageError: the run's list of photos is missing or damaged.
    """
    settings, classes = run.read().settings_as(LocatorSettings), read_classes(run)
    frozen, read = FrozenPhotos.read(run), photo_reader(workspace)
    train, val = (
        samples_of(frozen.of(part), classes, read, min_side_px=settings.side_px)
        for part in ("train", "val")
    )
    return LocatorTask(classes, train, val)


def classifier_task(workspace: Workspace, split: Split) -> ClassifierTask:
    """The photos to train a classifier on, and to validate it on.

    Raises:
        UsageError: photos are gone from the catalogue.
    """
    photos, products = workspace_photos(workspace), split.products()
    return ClassifierTask(
        products,
        part_photos(workspace, photos, split.train, products),
        part_photos(workspace, photos, split.answerable("val"), products),
    )


def encoder_task(workspace: Workspace, split: Split) -> EncoderTask:
    """The photos to train an encoder on, to validate it on, and the gallery these are searched in.

    Raises:
        UsageError: photos are gone from the catalogue.
    """
    photos, products = workspace_photos(workspace), split.products()
    train = part_photos(workspace, photos, split.train, products)
    if split.protocol == "open":
        val = part_photos(workspace, photos, split.val, split.products("val"))
        return EncoderTask(products, train, val, None)
    val = part_photos(workspace, photos, split.answerable("val"), products)
    return EncoderTask(products, train, val, train)


def adapt_task(workspace: Workspace, split: Split, run: Run) -> AdaptTask:
    """The photos of a run's split: its training part to train on, its validation part held out.

    Raises:
        UsageError: photos are gone from the catalogue, or too few products are left.
    """
    products = tuple(sorted({*split.products("train"), *split.products("val")}))
    named = (*split.train, *split.val)
    photos = part_photos(workspace, workspace_photos(workspace), named, products)
    place = {code: at for at, code in enumerate(products)}
    look_alikes = tuple(
        np.array([place[code] for code in group if code in place], np.int64)
        for group in Start.read(run).look_alikes
    )
    trained, asked = np.arange(len(split.train)), set(split.queries)
    real = np.array([row for row, one in enumerate(named) if one in asked], np.int64)
    locator = load_locator(workspace)
    return AdaptTask.of(photos, trained, len(products), look_alikes, locator, real=real)


def vit_task(workspace: Workspace, run: Run) -> AdaptTask:
    """As `adapt_task`, of a run's own split; held against the encoder that is served.

    Raises:
        UsageError: photos are gone from the catalogue, or too few products are left.
        EncoderError: the encoder that is served is damaged.
    """
    task = adapt_task(workspace, run_split(workspace, run), run)
    return replace(task, served=Encoder.load(serving_card(workspace.models)))
