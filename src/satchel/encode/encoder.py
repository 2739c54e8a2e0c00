"""The encoder: crops → vectors and saliency maps, through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Final

from satchel.arrays import Bytes
from satchel.encode.card import BUILTIN, EncoderCard, read_card
from satchel.encode.crops import CropShape
from satchel.encode.output import EncoderOutput
from satchel.errors import EncoderError
from satchel.onnx_model import open_session, read_model
from satchel.validation import reason

INPUT: Final = "crops"
OUTPUTS: Final = ("vectors", "saliency")
PATCH_OUTPUTS: Final = ("patches", "attention")
"""Further outputs of an encoder with patch output; patches are ordered by attention."""

CENTRED: Final = "centred_saliency"
"""Output that replaces the saliency of a model exported before maps were centred; see
`recipes.saliency_part`."""


def saliency_output(names: Collection[str]) -> str:
    """Name of the output with the saliency map whose cells tile the crop."""
    return CENTRED if CENTRED in names else OUTPUTS[1]


class Encoder:
    """An encoder in one ONNX session.

    The model takes uint8 crops and holds its own preprocessing, so that no caller can get it
    wrong.

    Safe to call from several threads at once. Where a pass has several threads itself, passes are
    serialised: running them in parallel would be slower.
    """

    def __init__(self, card: EncoderCard, model: bytes, *, threads: int) -> None:
        self.card = card
        self._session = open_session(model, card.file, threads=threads)
        names = tuple(output.name for output in self._session.get_outputs())
        if tuple(name for name in names if name != CENTRED) not in (
            OUTPUTS,
            OUTPUTS + PATCH_OUTPUTS,
        ):
            raise EncoderError(
                f"{card.file}: expected the outputs {OUTPUTS}, and {PATCH_OUTPUTS} or none, and "
                f"{CENTRED} or none besides, got {names}"
            )
        for name, length in (
            (OUTPUTS[0], card.dimension),
            (PATCH_OUTPUTS[0], card.patch_dimension),
        ):
            self._check_length(name, length)
        vectors, patches = OUTPUTS[0], PATCH_OUTPUTS[0]  # attention is not returned
        self._names = [vectors, saliency_output(names), *(n for n in names if n == patches)]
        self._turn: AbstractContextManager[object] = Lock() if threads > 1 else nullcontext()

    @classmethod
    def load(cls, card_path: Path = BUILTIN, *, threads: int = 1) -> Encoder:
        """Load the model that a card names; by default the built-in one.

        Args:
            threads: for one forward pass. 1 where several threads call the encoder at once,
                all cores where a single caller waits for an answer.

        Raises:
            EncoderError: card or model are missing, altered or inconsistent.
        """
        card = read_card(card_path)
        return cls(card, read_model(card, card_path.parent), threads=threads)

    @property
    def id(self) -> str:
        """SHA-256 of the model file: vectors of encoders with equal ids may be compared."""
        return self.card.sha256

    @property
    def crop_shape(self) -> CropShape:
        """Shape of its input crops."""
        return self.card.crop_shape

    @property
    def n_passes(self) -> int:
        """Passes averaged into a photo's vector: 1 or 3."""
        return self.card.n_passes

    def _check_length(self, output: str, expected: int | None) -> None:
        """Compare the length of an output's vectors with the card's, if the model declares one."""
        shapes = {one.name: one.shape for one in self._session.get_outputs()}
        length = shapes[output][-1] if output in shapes else None
        if length != expected and not isinstance(length, str):
            raise EncoderError(
                f"{self.card.file}: its card says that {output} have {expected} numbers, the model "
                f"gives {length}; restore the card from a backup"
            )

    def encode(self, crops: Bytes) -> EncoderOutput:
        """Run the model.

        Args:
            crops: shape (n, h, w, 3), uint8, RGB; h and w as `crop_shape` has them.

        Raises:
            EncoderError: the model does not take this shape: the card does not belong to it.
        """
        try:
            with self._turn:
                return EncoderOutput(*self._session.run(self._names, {INPUT: crops}))
        except Exception as error:  # ONNX Runtime has no base class of its exceptions
            raise EncoderError(
                f"ONNX Runtime cannot run {self.card.file} on crops of the shape {crops.shape}: "
                f"{reason(error)}"
            ) from error
