"""Starting weights from a YOLOX ONNX file, its batch norms folded into its convolutions.

The file's convolutions are paired with the network's by the order of execution and checked shape by
shape. A folded convolution becomes convolution + batch norm with unit statistics; `fit_statistics`
then measures what the statistics are, which changes no output, so that training starts from batch
norms as they would have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from satchel.arrays import Floats
from satchel.errors import UsageError
from satchel.train.locator.blocks import ConvUnit
from satchel.train.locator.yolox import YOLOX
from satchel.validation import reason

MOST_BYTES: Final = 400 << 20

# fmt: off
COCO_CLASSES: Final = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
    "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on
"""Classes of the COCO data set, in the order of detectors trained on it."""


def load_onnx(
    network: YOLOX,
    path: Path,
    *,
    classes: Sequence[str],
    file_classes: Sequence[str] = COCO_CLASSES,
    seeds: Mapping[str, Sequence[str]],
    bgr: bool = True,
) -> None:
    """Load the weights of a YOLOX ONNX file into a network.

    Args:
        classes: the network's own.
        file_classes: those of the file, in its order.
        seeds: own class → file classes whose rows its own row starts with; a class of the same
            name needs none. Rows of other classes keep their random start.
        bgr: the file takes blue first, as the published ones do; the network takes red first.

    Raises:
        UsageError: the file is no ONNX file, or one of another network.
    """
    given, own = _file_convolutions(path), _convolutions(network)
    if len(given) != len(own):
        raise UsageError(
            f"{path} is another network: expected {len(own)} convolutions, got {len(given)}; "
            "choose the --architecture that the file is of"
        )
    outputs = {id(head.classes) for head in network.heads}
    with torch.no_grad():
        for number, (module, (weight, bias)) in enumerate(zip(own, given, strict=True)):
            if id(module) in outputs:
                _check_classes(path, weight, file_classes)
                _set_rows(module, weight, bias, _sources(classes, file_classes, seeds))
                continue
            own_weight = _red_first(weight) if module is own[0] and bgr else weight
            _set(module, own_weight, bias, f"{path}: convolution {number}")


@torch.no_grad()
def fit_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set every batch norm's statistics to those of its inputs on real photos.

    Scale and shift make up for it: outputs in evaluation mode stay the same.

    Args:
        batches: inputs of the network; a few dozen photos are enough.
    """
    sums: dict[nn.BatchNorm2d, list[torch.Tensor]] = {}

    def measure(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        values = inputs[0].double()
        moments = torch.stack((values.mean((0, 2, 3)), values.square().mean((0, 2, 3))))
        sums.setdefault(norm, []).append(moments)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    was_training = network.training
    network.eval()
    try:
        for batch in batches:
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
        network.train(was_training)
    for norm, moments in sums.items():
        mean, square = torch.stack(moments).mean(0)
        variance = (square - mean**2).clamp_min(1e-6)
        _move_statistics(norm, mean, variance)


def _move_statistics(norm: nn.BatchNorm2d, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Replace statistics; scale and shift change so that the norm maps as before."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    slope = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    start = norm.bias.double() - slope * norm.running_mean.double()
    norm.weight.copy_(slope * (variance + norm.eps).sqrt())
    norm.bias.copy_(start + slope * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _convolutions(network: YOLOX) -> list[nn.Module]:
    """Convolution units and output layers, in the order of execution."""
    inside = {id(unit.conv) for unit in network.modules() if isinstance(unit, ConvUnit)}
    return [
        module
        for module in network.modules()
        if isinstance(module, ConvUnit)
        or (isinstance(module, nn.Conv2d) and id(module) not in inside)
    ]


def _file_convolutions(path: Path) -> list[tuple[Floats, Floats]]:
    """Weight and bias of each convolution of an ONNX file, in the order of execution."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"expected at most {MOST_BYTES >> 20} MB, got a larger file: {path}")
        graph = onnx.load_model(path, load_external_data=False).graph
        tensors: dict[str, Any] = {one.name: one for one in graph.initializer}
        convolutions = []
        for node in graph.node:
            if node.op_type == "Conv":
                weight, bias = (numpy_helper.to_array(tensors[name]) for name in node.input[1:])
                convolutions.append((weight.astype(np.float32), bias.astype(np.float32)))
    except UsageError:
        raise
    except Exception as error:  # protobuf, onnx and numpy have no common base
        raise UsageError(
            f"expected an ONNX file of a YOLOX network at {path}: {reason(error)}"
        ) from None
    return convolutions


def _check_classes(path: Path, weight: Floats, file_classes: Sequence[str]) -> None:
    if len(weight) != len(file_classes):
        raise UsageError(
            f"{path} has {len(weight)} classes, but {len(file_classes)} names were given for them"
        )


def _red_first(weight: Floats) -> Floats:
    """The stem's weights, shape (o, 12, 3, 3), with the colours of each pixel in reverse order."""
    return weight.reshape(len(weight), -1, 3, *weight.shape[2:])[:, :, ::-1].reshape(weight.shape)


def _sources(
    classes: Sequence[str], file_classes: Sequence[str], seeds: Mapping[str, Sequence[str]]
) -> list[list[int]]:
    """Rows of the file's class layer that each own class starts as the mean of."""
    place = {name: at for at, name in enumerate(file_classes)}
    return [
        [place[one] for one in ([name] if name in place else seeds.get(name, ())) if one in place]
        for name in classes
    ]


def _set_rows(
    layer: nn.Module, weight: Floats, bias: Floats, sources: Sequence[Sequence[int]]
) -> None:
    """Set the rows of an output layer that have sources; the others stay as they are."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    for row, rows in enumerate(sources):
        if rows:
            layer.weight[row] = torch.from_numpy(weight[rows].mean(0))
            layer.bias[row] = float(bias[rows].mean())


def _set(module: nn.Module, weight: Floats, bias: Floats, what: str) -> None:
    convolution = module.conv if isinstance(module, ConvUnit) else module
    assert isinstance(convolution, nn.Conv2d)
    expected = tuple(convolution.weight.shape)
    if weight.shape != expected or bias.shape != expected[:1]:
        raise UsageError(
            f"{what}: expected weights of shape {expected}, got {weight.shape}; choose the "
            "--architecture that the file is of"
        )
    convolution.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
    if isinstance(module, ConvUnit):
        norm = module.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
        norm.weight.fill_((1 + norm.eps) ** 0.5)
        norm.bias.copy_(torch.from_numpy(bias))
    else:
        assert convolution.bias is not None
        convolution.bias.copy_(torch.from_numpy(bias))
