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
class Patches:
    """What an encoder made of the squares of a photo that it looked at most.

    Of n photos, both have one more axis before.

    Attributes:
        values: shape (p, d), int8: each patch's vector, of length 127.
        attention: shape (p,), float32, ≥ 0: how much the encoder looked at each; sums to 1.
    """

    values: npt.NDArray[np.int8]
    attention: npt.NDArray[np.float32]

    def of(self, photo: int | npt.NDArray[np.int64]) -> Patches:
        """Those of one of n photos, or of some."""
        return Patches(self.values[photo], self.attention[photo])

    @classmethod
    def joined(cls, parts: Sequence[Patches]) -> Patches:
        """Those of several batches, as of one."""
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.attention for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What one forward pass makes of n crops.

    Attributes:
        vectors: shape (n, d), float32, each of length 1.
        saliency: shape (n, h, w), float32, ≥ 0: a network's last feature map summed over its
            channels, from which `satchel.locate.saliency` finds the object.
        patches: of each crop; None where the encoder gives none.
    """

    vectors: npt.NDArray[np.float32]
    saliency: npt.NDArray[np.float32]
    patches: Patches | None = None

    def rows(self, chosen: npt.NDArray[np.int64]) -> Look:
        """Those of some of the crops, in the order that is asked for."""
        patches = self.patches and self.patches.of(chosen)
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
            Patches.joined(parts) if parts else None,
        )
