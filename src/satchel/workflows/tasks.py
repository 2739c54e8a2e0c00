"""Tasks of runs, built from a workspace and a split. Needs torch."""

from __future__ import annotations

import numpy as np

from satchel.adapt.files import Start
from satchel.adapt.task import AdaptTask
from satchel.served import load_locator
from satchel.train.classifier import ClassifierTask
from satchel.train.encoder import EncoderTask
from satchel.train.runs import Run
from satchel.train.splits import Split
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workspace import Workspace


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
    trained = np.arange(len(split.train))
    return AdaptTask.of(photos, trained, len(products), look_alikes, load_locator(workspace))
