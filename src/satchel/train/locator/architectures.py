"""The architectures of detectors: network, objective, and the parts that are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from torch import nn

from satchel.train.locator.lite0 import Lite0Detector
from satchel.train.locator.objective import DetectionObjective
from satchel.train.locator.task_aligned import TaskAlignedObjective
from satchel.train.locator.weights import load_onnx
from satchel.train.locator.yolox import SIZES, YOLOX
from satchel.train.settings import LocatorSettings


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a detector of one kind is made and trained.

    Attributes:
        empty: number of classes → the network, to load weights into.
        begun: class names, settings → the network as training begins with it.
        objective: weights of the classes → the loss.
        parts: network → its parts in the order of their learning rates: the head, then backwards.
    """

    empty: Callable[[int], nn.Module]
    begun: Callable[[Sequence[str], LocatorSettings], nn.Module]
    objective: Callable[[Sequence[float]], nn.Module]
    parts: Callable[[Any], list[nn.Module]]


def _empty_yolox(size: str, classes: int) -> YOLOX:
    return YOLOX(SIZES[size], classes)


def _begun_yolox(size: str, classes: Sequence[str], settings: LocatorSettings) -> YOLOX:
    network = _empty_yolox(size, len(classes))
    if settings.starts_from_file:
        load_onnx(network, Path(settings.weights), classes=classes, seeds=settings.class_seeds)
    return network


def _yolox_parts(network: YOLOX) -> list[nn.Module]:
    body = network.backbone
    stages = [body.stage5, body.stage4, body.stage3, body.stage2, body.stem]
    return [network.heads, network.pyramid, *stages]


def _begun_lite0(classes: Sequence[str], settings: LocatorSettings) -> Lite0Detector:
    """The stem is not trained, unless from scratch: any photo's first layers are the same."""
    network = Lite0Detector(len(classes), settings.weights)
    network.backbone.stem.requires_grad_(settings.weights == "none")
    return network


def _lite0_parts(network: Lite0Detector) -> list[nn.Module]:
    """Heads and pyramid are all new, so they are one part."""
    body = network.backbone
    parts: list[nn.Module] = [nn.ModuleList([network.heads, network.pyramid])]
    trained = [body.coarse, body.middle, body.stem]
    return parts + [part for part in trained if next(part.parameters()).requires_grad]


def _yolox(size: str) -> Architecture:
    return Architecture(
        partial(_empty_yolox, size), partial(_begun_yolox, size), DetectionObjective, _yolox_parts
    )


ARCHITECTURES: Final = {
    **{size: _yolox(size) for size in SIZES},
    "lite0": Architecture(Lite0Detector, _begun_lite0, TaskAlignedObjective, _lite0_parts),
}
