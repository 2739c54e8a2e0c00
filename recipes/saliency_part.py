"""Centred saliency for a model that was exported before maps were centred, as a separate file.

    python -m recipes.saliency_part src/satchel/encode/models/clip-b16.json --side 192
    python -m recipes.saliency_part src/satchel/encode/models/lite0.json --side 224

Its bytes follow the model's, which stay as they are: 95 MB need not be stored a second time. What
`satchel.train.export` writes today is centred and takes no such part.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from satchel.convert.onnx_graph import Graph
from satchel.encode.card import EncoderCard, read_card
from satchel.encode.encoder import CENTRED, OUTPUTS
from satchel.errors import UsageError
from satchel.onnx_model import read_model, write_model
from satchel.train.export import centring

BEFORE: tuple[str, ...] = ("Gather", "AveragePool", "Pad", "Unsqueeze")
"""Operators of such a model's map, last to first: mean of four cells, border repeated."""


def own_map(model: onnx.ModelProto) -> str:
    """Name of a network's own map, shape (n, cells, cells), in a model that was exported before.

    Raises:
        UsageError: the model was not exported so.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    name = OUTPUTS[1]
    for expected in BEFORE:
        found = makers[name].op_type if name in makers else "an input"
        if found != expected:
            raise UsageError(
                f"expected a model whose saliency was averaged over four cells, by {expected}; got "
                f"{found}: its map is centred, or needs no centring"
            )
        name = makers[name].input[0]
    return name


def saliency_part(model: onnx.ModelProto, side_px: int) -> bytes:
    """Bytes that, appended to the model's, add the output `CENTRED`.

    Args:
        side_px: input side of the network.
    """
    (output,) = (one for one in model.graph.output if one.name == OUTPUTS[1])
    cells = output.type.tensor_type.shape.dim[1].dim_value or -(-side_px // 32)
    weights = centring(cells, side_px).numpy()
    graph = Graph(prefix="centred/")
    rows = graph.add("MatMul", graph.constant("down", weights), own_map(model))
    across = graph.constant("across", np.ascontiguousarray(weights.T))
    graph.add("MatMul", rows, across, output=CENTRED)
    shape = ["n", cells, cells]
    part = onnx.GraphProto(
        node=graph.nodes,
        initializer=graph.tensors.values(),
        output=[helper.make_tensor_value_info(CENTRED, TensorProto.FLOAT, shape)],
    )
    data: bytes = onnx.ModelProto(graph=part).SerializeToString()
    return data


def add_part(path: Path, side_px: int) -> EncoderCard:
    """Write the part next to a model, and name it on the model's card.

    Args:
        path: the card.
        side_px: input side of the network.

    Raises:
        EncoderError: card or model are missing, altered or inconsistent.
        UsageError: the model's map is centred already.
    """
    card = read_card(path)
    name = f"{card.name}-saliency.onnx"
    if name in card.parts:
        raise UsageError(f"{path} has the part {name}: its map is centred already")
    data = read_model(card, path.parent)
    part = saliency_part(onnx.load_from_string(data), side_px)
    onnx.checker.check_model(onnx.load_from_string(data + part))
    changed = {
        "parts": (*card.parts, name),
        "sha256": hashlib.sha256(data + part).hexdigest(),
        "recipe": f"{card.recipe}; map centred by recipes.saliency_part --side {side_px}",
    }
    made = card.model_copy(update=changed)
    files = [(path.parent / one).read_bytes() for one in (card.file, *card.parts)]
    write_model(path, made, *files, part)
    return made


def main() -> None:
    """Add the part to a card's model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", type=Path)
    parser.add_argument(
        "--side", type=int, required=True, help="input side of the network, in pixels"
    )
    asked = parser.parse_args()
    print(add_part(asked.card, asked.side).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
