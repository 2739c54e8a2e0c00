"""What one look at a photo gives: a vector, a saliency map, and patches where the encoder has them.

Where a vector says what a photo shows as a whole, patches say what its parts look like: a clasp, a
stitched edge, a printed letter. `satchel.search.matching` compares them.
"""

from __future__ import annotations

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

    def of(self, photo: int) -> Patches:
        """Those of one of n photos."""
        return Patches(self.values[photo], self.attention[photo])


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
