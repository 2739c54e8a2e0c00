"""An ONNX file of somebody else → one with our input and outputs, its preprocessing inside.

The file alone does not say how it wants its photos; a TOML file for --about does:

    side_px = 224
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]
    layout = "NCHW"            # or "NHWC"
    input = "pixel_values"     # default: the only one
    output = "image_embeds"    # default: the first; (n, d), or (n, c, h, w), which is averaged
    saliency = "features"      # an output of shape (n, c, h, w), where there is one
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from satchel.convert.onnx_graph import Graph
from satchel.convert.spec import MAX_MODEL_BYTES
from satchel.encode.encoder import INPUT, OUTPUTS
from satchel.errors import EncoderError, UsageError
from satchel.onnx_model import open_session
from satchel.parallel import cores
from satchel.validation import StrictModel, reason

LEAST_OPSET: Final = 13
THEIRS: Final = "theirs/"
"""Prefix of the names of the file that is wrapped."""

CELLS: Final = 7
"""Sides of the map of a model without saliency, which is equal everywhere."""

BATCHES: Final = (1, 3)
"""Numbers of crops that a model is tried with."""


class Preprocessing(StrictModel):
    """What an ONNX file does not say; see the module."""

    side_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    input: str | None = None
    output: str | None = None
    saliency: str | None = None


def read_preprocessing(path: Path | None) -> Preprocessing:
    """Read the TOML file.

    Raises:
        UsageError: it is missing, or does not say it.
    """
    if path is None:
        raise UsageError(
            "an ONNX file does not say how it wants its photos: say it in a TOML file with "
            "side_px, mean, std and layout, and give that with --about"
        )
    try:
        return Preprocessing.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        message = reason(error, Preprocessing)
        raise UsageError(f"{path} does not say what the model's input is: {message}") from None


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file that is whole in itself.

    Raises:
        EncoderError: it is none, too large, or keeps tensors in other files.
    """
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise EncoderError(f"expected an ONNX file of less than 2 GiB, got a larger one: {path}")
    try:
        model = onnx.load_from_string(path.read_bytes())
    except Exception as error:  # protobuf's
        raise EncoderError(f"{path} is no ONNX file, or not whole: {reason(error)}") from None
    if any(one.data_location == TensorProto.EXTERNAL for one in model.graph.initializer):
        raise EncoderError(
            f"{path} keeps its tensors in other files: save it as one file first, with "
            "onnx.save(onnx.load(FILE), NEW_FILE)"
        )
    version = next((one.version for one in model.opset_import if not one.domain), 0)
    if version < LEAST_OPSET:
        raise EncoderError(
            f"{path} is of operator set {version}: expected {LEAST_OPSET} or later; export it anew"
            ", or convert it with onnx.version_converter"
        )
    return model


def wrapped(model: onnx.ModelProto, given: Preprocessing) -> onnx.ModelProto:
    """Wrap a model: uint8 crops → vectors of length 1, and a saliency map.

    Raises:
        UsageError: it has no such input or outputs.
        EncoderError: it cannot be run on crops of this size, or on several at once.
    """
    made = compose.add_prefix(model, THEIRS)
    taken = {one.name for one in made.graph.initializer}
    inputs = [one.name for one in made.graph.input if one.name not in taken]
    source = _named(given.input, inputs, "input")
    outputs = [one.name for one in made.graph.output]
    vectors = _named(given.output, outputs, "output", first=True)
    saliency = _named(given.saliency, outputs, "output") if given.saliency else None
    ranks = {one.name: len(one.type.tensor_type.shape.dim) for one in made.graph.output}
    before, after = Graph(), Graph(prefix="ours/")
    _write_input(before, given, source)
    _write_outputs(after, vectors, ranks[vectors], saliency)
    graph = helper.make_graph(
        [*before.nodes, *made.graph.node, *after.nodes],
        "wrapped",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", "h", "w", 3])],
        [
            helper.make_tensor_value_info(OUTPUTS[0], TensorProto.FLOAT, ["n", "d"]),
            helper.make_tensor_value_info(OUTPUTS[1], TensorProto.FLOAT, ["n", "r", "c"]),
        ],
        [*made.graph.initializer, *before.tensors.values(), *after.tensors.values()],
    )
    whole = helper.make_model(
        graph, opset_imports=list(made.opset_import), ir_version=made.ir_version
    )
    whole.functions.extend(made.functions)
    _try(whole, given.side_px)
    return whole


def _named(asked: str | None, there: list[str], what: str, *, first: bool = False) -> str:
    names = {name.removeprefix(THEIRS): name for name in there}
    if asked is None and names and (first or len(names) == 1):
        return there[0]
    if asked not in names:
        raise UsageError(
            f"expected the name of the model's {what} in the file for --about, got {asked}; it has "
            f"{', '.join(names)}"
        )
    return names[asked]


def _write_input(graph: Graph, given: Preprocessing, name: str) -> None:
    pixels = graph.add("Cast", INPUT, to=TensorProto.FLOAT)
    mean, std = (np.array(one, np.float32) * 255 for one in (given.mean, given.std))
    pixels = graph.add("Sub", pixels, graph.constant("mean", mean))
    pixels = graph.add("Div", pixels, graph.constant("std", std))
    if given.layout == "NCHW":
        graph.add("Transpose", pixels, output=name, perm=[0, 3, 1, 2])
    else:
        graph.add("Identity", pixels, output=name)


def _write_outputs(graph: Graph, vectors: str, rank: int, saliency: str | None) -> None:
    if rank == 4:
        vectors = graph.add("GlobalAveragePool", vectors)
        vectors = graph.add("Flatten", vectors, axis=1)
    length = graph.add(
        "Sqrt",
        graph.add("ReduceSum", graph.add("Mul", vectors, vectors), graph.shape(-1), keepdims=1),
    )
    length = graph.add("Max", length, graph.constant("least", np.float32(1e-12)))
    graph.add("Div", vectors, length, output=OUTPUTS[0])
    if saliency is not None:
        summed = graph.add("ReduceSum", saliency, graph.shape(1), keepdims=0)
        graph.add("Relu", summed, output=OUTPUTS[1])
        return
    count = graph.add("Gather", graph.add("Shape", vectors), graph.shape(0))
    shape = graph.add("Concat", count, graph.shape(CELLS, CELLS), axis=0)
    one = helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])
    graph.add("ConstantOfShape", shape, output=OUTPUTS[1], value=one)


def _try(model: onnx.ModelProto, side_px: int) -> None:
    session = open_session(model.SerializeToString(), "the wrapped file", threads=cores())
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (max(BATCHES), side_px, side_px, 3), np.uint8)
    for count in BATCHES:
        try:
            found: Any = session.run(list(OUTPUTS), {INPUT: crops[:count]})
        except Exception as error:  # ONNX Runtime has no base class of its exceptions
            raise EncoderError(
                f"the model cannot be run on {count} crops of {side_px} × {side_px} pixels: "
                f"{reason(error)}; export it with any number of photos, and say its side_px"
            ) from None
        for name, values, rank in zip(OUTPUTS, found, (2, 3), strict=True):
            if values.ndim != rank or len(values) != count:
                raise EncoderError(
                    f"expected {name} of {count} crops with {rank} axes, got the shape "
                    f"{values.shape}: name another output in the file for --about"
                )
