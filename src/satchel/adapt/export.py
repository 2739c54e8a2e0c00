"""Export an adapted head: the built-in encoder's ONNX file with an ensemble of two heads."""

from __future__ import annotations

import numpy as np
import onnx

from satchel.adapt.clip_head import AdaptedHead, TokenEncoder, with_head
from satchel.convert.gate import TIMED_BATCH, Exported, compare
from satchel.encode.card import EncoderCard
from satchel.train.batches import TrainingPhotos
from satchel.train.export import sample_crops


def export_head(
    base: bytes, card: EncoderCard, head: AdaptedHead, photos: TrainingPhotos
) -> Exported:
    """Write a head into the built-in encoder's file, and compare the file with both members.

    Args:
        base: the built-in encoder's file; `card` is its card.
        photos: to compare on; at least two.
    """
    model = onnx.load_from_string(base)
    encoder = TokenEncoder(card, model)
    crops = sample_crops(photos, card.input_side_px)
    batches = np.array_split(crops, max(1, len(crops) // TIMED_BATCH))
    own = np.concatenate([head.ensemble_vectors(encoder.head_inputs(part)) for part in batches])
    return compare("fp16", with_head(model, head.head, head.weight).SerializeToString(), crops, own)
