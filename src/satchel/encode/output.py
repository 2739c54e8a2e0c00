"""What one look at a photo gives: a vector, a saliency map, and patches where the encoder has them.

Where a vector says what a photo shows as a whole, patches say what its parts look like: a clasp, a
stitched edge, a printed letter. `satchel.search.matching` compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Look:
    """What one forward pass makes of n crops.

    Attributes:
        vectors: shape (n, d), float32, each of length 1.
        saliency: shape (n, h, w), float32, ≥ 0: a network's last feature map summed over its
            channels, from which `satchel.locate.saliency` finds the object.
        patches: shape (n, p, e), int8, each of length 127: of the p squares of each crop that the
            encoder looked at most; None where it gives none.
    """

    vectors: npt.NDArray[np.float32]
    saliency: npt.NDArray[np.float32]
    patches: npt.NDArray[np.int8] | None = None

    def rows(self, chosen: npt.NDArray[np.int64]) -> Look:
        """Those of some of the crops, in the order that is asked for."""
        patches = None if self.patches is None else self.patches[chosen]
        return Look(self.vectors[chosen], self.saliency[chosen], patches)

    @classmethod
    def joined(cls, looks: Sequence[Look]) -> Look:
        """What one encoder made of several batches, as of one."""
        if len(looks) == 1:
            return looks[0]
        parts = [look.patches for look in looks if look.patches is not None]
        return cls(
            np.concatenate([look.vectors for look in looks]),
            np.concatenate([look.saliency for look in looks]),
            np.concatenate(parts) if parts else None,
        )
