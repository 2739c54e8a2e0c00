"""ONNX models: a JSON card next to each names its files, and one session runs it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final, TypeVar

import onnxruntime as ort
from pydantic import Field, ValidationError

from satchel.errors import EncoderError
from satchel.files import write_atomically
from satchel.validation import StrictModel, reason

PartName = Annotated[str, Field(pattern=r"^[\w.-]+\.onnx$")]


class ModelCard(StrictModel):
    """Card of a model: the fields that all have, as JSON next to the model file."""

    name: str
    file: PartName = Field(description="model file, in the card's folder")
    parts: tuple[PartName, ...] = Field(
        (), description="files whose bytes follow the model file's; all together are the model"
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the model, all its parts")
    architecture: str
    weights: str = Field(description="where they come from")
    licence: str
    parity: str = Field(description="agreement with the model it was exported from")
    recipe: str = Field(description="the command that makes the file again")


Card = TypeVar("Card", bound=ModelCard)


def load_card(path: Path, kind: type[Card]) -> Card:
    """Read a model's card.

    Raises:
        EncoderError: it is missing or not valid.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EncoderError(f"expected a model card at {path}: {reason(error)}") from None
    except ValidationError as error:
        raise EncoderError(
            f"the model card {path} is not valid: {reason(error)}; "
            "restore the file, or reinstall satchel if it is a built-in one"
        ) from None


def write_card(path: Path, card: ModelCard) -> None:
    """Write a model's card, in one step."""
    write_atomically(path, (card.model_dump_json(indent=2) + "\n").encode())


def read_model(card: ModelCard, folder: Path) -> bytes:
    """Read a card's model and verify its SHA-256.

    A model in several files is their bytes, one after the other: concatenated protobuf messages
    are one message whose repeated fields (nodes, tensors, outputs) are joined. So an addition to
    a large model is a small file.

    Raises:
        EncoderError: a file is missing, or the SHA-256 differs.
    """
    paths = [folder / name for name in (card.file, *card.parts)]
    try:
        data = b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise EncoderError(f"expected the model at {paths[0]}: {reason(error)}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.sha256:
        raise EncoderError(
            f"{paths[0]} is not the model that its card names: expected SHA-256 {card.sha256}, "
            f"got {digest}; restore the file, or reinstall satchel if it is a built-in one"
        )
    return data


def write_model(path: Path, card: ModelCard, model: bytes, *parts: bytes) -> None:
    """Write a model, its further parts, and then, to `path`, its card."""
    for name, data in zip((card.file, *card.parts), (model, *parts), strict=True):
        write_atomically(path.parent / name, data)
    write_card(path, card)


CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"

_INT8: Final = (b"MatMulIntegerToFloat", b"QuantizeLinear")
"""Operators of files in int8, of which CUDA has no form: layers would be copied there and back."""


def providers(model: bytes) -> list[str]:
    """Where a model is computed: on a GPU if ONNX Runtime's CUDA provider is installed.

    Files in int8 are computed on the processor; `satchel encoder add` times every kind where it
    would be computed, and keeps the fastest.
    """
    on_gpu = CUDA in ort.get_available_providers() and not any(one in model for one in _INT8)
    return [CUDA, CPU] if on_gpu else [CPU]


def open_session(model: bytes, name: str, *, threads: int) -> ort.InferenceSession:
    """Load a model into ONNX Runtime.

    Args:
        name: of its file, for the error.
        threads: for one forward pass.

    Raises:
        EncoderError: ONNX Runtime cannot load it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that sleep between two layers cost a tenth of the pass; those that keep spinning
    # after it burn the cores that decoding needs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(model, sess_options=options, providers=providers(model))
    except Exception as error:  # ONNX Runtime has no base class of its exceptions
        raise EncoderError(f"ONNX Runtime cannot load {name}: {error}") from error
