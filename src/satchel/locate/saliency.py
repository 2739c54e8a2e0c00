"""Unsupervised object localization from the encoder's feature map.

Selective convolutional descriptor aggregation (SCDA): X.-S. Wei, J.-H. Luo, J. Wu, Z.-H. Zhou,
"Selective Convolutional Descriptor Aggregation for Fine-Grained Image Retrieval", IEEE
Transactions on Image Processing 26(6), 2017. Their section III keeps the places where the sum
over channels is above its mean, and of those the largest connected component.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from satchel.arrays import Floats
from satchel.records import WHOLE_PHOTO, Box

GRID: Final = 56
"""The map is enlarged to this many cells a side, so that boxes have subcell precision."""


def salient_box(saliency: Floats) -> Box:
    """Return the box of the largest region of above-average saliency.

    Args:
        saliency: shape (h, w), float32, ≥ 0; where the encoder responds most.

    Returns:
        The box, in fractions of the crop; all of it where no region is salient.
    """
    fine = cv2.resize(saliency, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
    above = (fine > fine.mean()).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    if count < 2:
        return WHOLE_PHOTO
    left, top, width, height = stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax(), :4] / GRID
    return Box(float(left), float(top), float(left + width), float(top + height))
