"""Serve your own encoder: an ONNX file from any framework.

    python examples/own_encoder.py WORKSPACE MODEL.onnx --dimension 1280 --side-px 224

The model holds its own preprocessing. It takes `crops`, uint8 RGB of shape (n, side, side, 3), and
gives `vectors`, float32 of shape (n, dimension) and length 1, and `saliency`, float32 ≥ 0 of shape
(n, h, w): where in the crop the object is, for example the sum of the last feature map's channels.

`satchel --workspace WORKSPACE promote --rollback` undoes it.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from satchel import Workspace
from satchel.encode.card import LITE, read_card
from satchel.encode.registry import serve_model
from satchel.onnx_model import write_model


def main(workspace: Path, model: Path, dimension: int, side_px: int) -> None:
    """Write the encoder's card and serve with it."""
    opened = Workspace.open(workspace)
    data, name = model.read_bytes(), model.stem
    card = read_card(LITE).model_copy(
        update={
            "name": name,
            "file": "model.onnx",
            "parts": (),
            "sha256": hashlib.sha256(data).hexdigest(),
            "architecture": "my own",
            "weights": "my own",
            "licence": "my own",
            "input_side_px": side_px,
            "dimension": dimension,
            "n_passes": 1,
        }
    )
    path = opened.models / name / "card.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_model(path, card, data)
    serve_model(opened.models, name)
    # The confidence of this card is lite0's: measure it with photos whose codes you know.
    print(f"{name} is served now; next: satchel index, then satchel calibrate PHOTOS")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--dimension", type=int, required=True)
    parser.add_argument("--side-px", type=int, default=224)
    main(**vars(parser.parse_args()))
