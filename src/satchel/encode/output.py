"""What one forward pass of an encoder returns: vectors, saliency maps, patch embeddings.

A vector describes a crop as a whole. Patch embeddings describe details (a clasp, a stitched edge,
a printed letter); `satchel.search.patch_matching` compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from satchel.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """The output of one forward pass over n crops.

    Attributes:
        vectors: shape (n, d), float32, each of length 1.
        saliency: shape (n, h, w), float32, ≥ 0: the last feature map summed over its channels,
            from which `satchel.locate.saliency` finds the object.
        patches: shape (n, p, e), int8, each of length 127: the p patches of each crop with the
            most attention; None where the encoder has no patch output.
    """

    vectors: Floats
    saliency: Floats
    patches: npt.NDArray[np.int8] | None = None

    def rows(self, chosen: Ints) -> EncoderOutput:
        """Select crops, in the given order."""
        patches = None if self.patches is None else self.patches[chosen]
        return EncoderOutput(self.vectors[chosen], self.saliency[chosen], patches)

    @classmethod
    def concatenate(cls, outputs: Sequence[EncoderOutput]) -> EncoderOutput:
        """Join the outputs of several batches."""
        if len(outputs) == 1:
            return outputs[0]
        patches = [output.patches for output in outputs if output.patches is not None]
        return cls(
            np.concatenate([output.vectors for output in outputs]),
            np.concatenate([output.saliency for output in outputs]),
            np.concatenate(patches) if patches else None,
        )
