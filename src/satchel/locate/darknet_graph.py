"""Darknet's layers → an ONNX graph of the layout "boxes_scores".

Layers of YOLOv3, YOLOv3-tiny, YOLOv4 and Yolo-Fastest: J. Redmon, A. Farhadi, "YOLOv3: An
Incremental Improvement", 2018; A. Bochkovskiy et al., "YOLOv4: Optimal Speed and Accuracy of Object
Detection", 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from satchel.locate.card import MAX_CLASSES, MAX_SIDE_PX
from satchel.locate.darknet_cfg import Section
from satchel.locate.darknet_head import Head, Value, add_head
from satchel.locate.darknet_weights import Weights
from satchel.locate.onnx_writer import GraphWriter

BN_EPSILON: Final = 1e-6
LEAKY_SLOPE: Final = 0.1

MAX_FILTERS: Final = 16_384
MAX_KERNEL: Final = 63
MAX_STRIDE: Final = 32
MAX_VALUES: Final = 64_000_000
"""Values of one layer's output: 256 MB. YOLOv4 at 608 × 608 pixels has 12 million."""

MAX_MULTIPLICATIONS: Final = 1_000_000_000_000
"""Of a forward pass. YOLOv4 at 608 × 608 pixels has 64 billion."""


class DarknetGraph:
    """Builds the graph layer by layer.

    Attributes:
        classes: that all `[yolo]` layers have; 0 before the first.
        multiplications: of the layers so far.
    """

    def __init__(self, net: Section, weights: Weights) -> None:
        """Begin with the input of `[net]`.

        Raises:
            LocatorError: its size is out of range, or it does not have three channels.
        """
        self._net = net
        self._weights = weights
        self._writer = GraphWriter()
        self.height, self.width = (
            net.integer(side, low=32, high=MAX_SIDE_PX) for side in ("height", "width")
        )
        if net.integer("channels", 3, low=1, high=4) != 3:
            raise net.fault("expected channels=3, colour photos", "channels")
        self._values: list[Value] = []
        self._heads: list[Head] = []
        self.classes = 0
        self.multiplications = 0
        self.yolo: Section | None = None

    def add(self, layer: Section) -> None:
        """Add a layer.

        Raises:
            LocatorError: it is of a kind that is not supported, or does not fit those before it.
        """
        build = LAYERS.get(layer.name)
        if build is None:
            raise layer.fault(
                f"layers of this kind are not supported; supported are {', '.join(LAYERS)}"
            )
        value = build(self, layer)
        if min(value.height, value.width) < 1:
            raise layer.fault("nothing is left of the picture after this layer")
        if value.channels * value.height * value.width > MAX_VALUES:
            raise layer.fault(
                f"its output has {value.channels} × {value.height} × {value.width} values, "
                f"expected {MAX_VALUES:,} at most"
            )
        if self.multiplications > MAX_MULTIPLICATIONS:
            raise layer.fault(
                f"the network needs more than {MAX_MULTIPLICATIONS:,} multiplications a photo"
            )
        self._values.append(value)

    def model(self) -> bytes:
        """The finished model.

        Raises:
            LocatorError: there was no `[yolo]` layer.
        """
        if self.yolo is None:
            raise self._net.fault("expected a [yolo] layer, there is none: it is no detector")
        for name in ("boxes", "scores"):
            parts = [getattr(head, name) for head in self._heads]
            self._writer.node("Concat", *parts, output=name, axis=1)
        count = sum(head.rows for head in self._heads)
        return self._writer.model(
            {"images": (1, 3, self.height, self.width)},
            {"boxes": (1, count, 4), "scores": (1, count, self.classes)},
            producer="satchel",
        )

    # -- layers ------------------------------------------------------------------------------------

    @property
    def _last(self) -> Value:
        return self._values[-1] if self._values else Value("images", 3, self.height, self.width)

    def _convolutional(self, layer: Section) -> Value:
        before = self._last
        filters = layer.integer("filters", 1, low=1, high=MAX_FILTERS)
        size = layer.integer("size", 1, low=1, high=MAX_KERNEL)
        stride = layer.integer("stride", 1, low=1, high=MAX_STRIDE)
        dilation = layer.integer("dilation", 1, low=1, high=MAX_STRIDE)
        groups = layer.integer("groups", 1, low=1, high=MAX_FILTERS)
        padding = layer.integer("padding", 0, low=0, high=MAX_KERNEL)
        if layer.integer("pad", 0, low=0, high=1):
            padding = size // 2 * dilation
        if before.channels % groups or filters % groups:
            raise layer.fault(
                f"expected groups that divide {before.channels} channels and {filters} filters, "
                f"got {groups}",
                "groups",
            )
        normalised = bool(layer.integer("batch_normalize", 0, low=0, high=1))
        shape = (filters, before.channels // groups, size, size)
        kernel, bias = self._weights.convolution(layer, shape, normalised, BN_EPSILON)
        name = self._writer.node(
            "Conv",
            before.name,
            self._writer.constant(kernel),
            self._writer.constant(bias),
            kernel_shape=(size, size),
            strides=(stride, stride),
            pads=(padding,) * 4,
            dilations=(dilation, dilation),
            group=groups,
        )
        height, width = (
            (side + 2 * padding - dilation * (size - 1) - 1) // stride + 1
            for side in (before.height, before.width)
        )
        self.multiplications += kernel.size * max(0, height) * max(0, width)
        return Value(self._activated(layer, name, "logistic"), filters, height, width)

    def _maxpool(self, layer: Section) -> Value:
        before = self._last
        stride = layer.integer("stride", 1, low=1, high=MAX_STRIDE)
        size = layer.integer("size", stride, low=1, high=MAX_KERNEL)
        padding = layer.integer("padding", size - 1, low=0, high=size - 1)
        first = padding // 2
        name = self._writer.node(
            "MaxPool",
            before.name,
            kernel_shape=(size, size),
            strides=(stride, stride),
            pads=(first, first, padding - first, padding - first),
        )
        height, width = (
            (side + padding - size) // stride + 1 for side in (before.height, before.width)
        )
        return Value(name, before.channels, height, width)

    def _upsample(self, layer: Section) -> Value:
        before = self._last
        stride = layer.integer("stride", 2, low=1, high=MAX_STRIDE)
        name = self._writer.node(
            "Resize",
            before.name,
            "",
            self._writer.constant(np.array([1, 1, stride, stride], np.float32)),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return Value(name, before.channels, before.height * stride, before.width * stride)

    def _route(self, layer: Section) -> Value:
        parts = [self._at(layer, "layers", at) for at in layer.integers("layers")]
        groups = layer.integer("groups", 1, low=1, high=MAX_FILTERS)
        group = layer.integer("group_id", 0, low=0, high=groups - 1)
        if len({(part.height, part.width) for part in parts}) > 1:
            sizes = ", ".join(f"{part.height} × {part.width}" for part in parts)
            raise layer.fault(f"expected layers of one size, got {sizes}", "layers")
        if any(part.channels % groups for part in parts):
            raise layer.fault(f"expected groups that divide the channels, got {groups}", "groups")
        names = [self._group_of(part, groups, group) for part in parts]
        name = names[0] if len(names) == 1 else self._writer.node("Concat", *names, axis=1)
        channels = sum(part.channels // groups for part in parts)
        return Value(name, channels, parts[0].height, parts[0].width)

    def _group_of(self, part: Value, groups: int, group: int) -> str:
        if groups == 1:
            return part.name
        size, ints = part.channels // groups, self._writer.ints
        begin, end = size * group, size * (group + 1)
        return self._writer.node("Slice", part.name, ints(begin), ints(end), ints(1))

    def _shortcut(self, layer: Section) -> Value:
        if layer.text("weights_type", "none") != "none":
            raise layer.fault("shortcuts with weights are not supported", "weights_type")
        value = self._last
        for at in layer.integers("from"):
            other = self._at(layer, "from", at)
            if (other.channels, other.height, other.width) != (
                value.channels,
                value.height,
                value.width,
            ):
                raise layer.fault(
                    f"expected a layer of {value.channels} × {value.height} × {value.width} "
                    f"values, got one of {other.channels} × {other.height} × {other.width}",
                    "from",
                )
            name = self._writer.node("Add", value.name, other.name)
            value = Value(name, value.channels, value.height, value.width)
        name = self._activated(layer, value.name, "linear")
        return Value(name, value.channels, value.height, value.width)

    def _dropout(self, layer: Section) -> Value:
        return self._last

    def _at(self, layer: Section, option: str, at: int) -> Value:
        """The output of a layer before: by its place from 0, or back from here."""
        place = at if at >= 0 else len(self._values) + at
        if not 0 <= place < len(self._values):
            raise layer.fault(
                f"expected layers before this one, which is number {len(self._values)}, got {at}",
                option,
            )
        return self._values[place]

    def _activated(self, layer: Section, name: str, default: str) -> str:
        """The activation of a layer; `default` is Darknet's."""
        kind, node = layer.text("activation", default), self._writer.node
        match kind:
            case "linear":
                return name
            case "leaky":
                return node("LeakyRelu", name, alpha=LEAKY_SLOPE)
            case "relu":
                return node("Relu", name)
            case "logistic":
                return node("Sigmoid", name)
            case "swish":
                return node("Mul", name, node("Sigmoid", name))
            case "mish":
                return node("Mul", name, node("Tanh", node("Softplus", name)))
        raise layer.fault(
            "expected the activation linear, leaky, relu, logistic, swish or mish, "
            f"got {kind[:30]!r}",
            "activation",
        )

    def _yolo(self, layer: Section) -> Value:
        classes = layer.integer("classes", 20, low=1, high=MAX_CLASSES)
        if self.yolo is not None and classes != self.classes:
            raise layer.fault(
                f"expected {self.classes} classes, as line {self.yolo.line} has, got {classes}",
                "classes",
            )
        self.classes, self.yolo = classes, layer
        head = add_head(self._writer, layer, self._last, classes, (self.height, self.width))
        self._heads.append(head)
        return self._last


LAYERS: Final[dict[str, Callable[[DarknetGraph, Section], Value]]] = {
    "convolutional": DarknetGraph._convolutional,
    "maxpool": DarknetGraph._maxpool,
    "upsample": DarknetGraph._upsample,
    "route": DarknetGraph._route,
    "shortcut": DarknetGraph._shortcut,
    "dropout": DarknetGraph._dropout,
    "yolo": DarknetGraph._yolo,
}
"""Kind of layer → method that adds it."""


def build_graph(net: Section, layers: Sequence[Section], weights: Weights) -> DarknetGraph:
    """Build the graph of a whole cfg.

    Raises:
        LocatorError: a layer is not supported or does not fit, or the weights do not.
    """
    graph = DarknetGraph(net, weights)
    for layer in layers:
        graph.add(layer)
    return graph
