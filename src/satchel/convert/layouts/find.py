"""The tensors of an image encoder in a checkpoint, each accounted for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import Final

import numpy as np

from satchel.arrays import Floats
from satchel.convert.checkpoint import Checkpoint
from satchel.convert.layouts.layout import Keys, Layout
from satchel.convert.layouts.open_clip import OPEN_CLIP
from satchel.convert.layouts.timm import TIMM
from satchel.convert.layouts.transformers import DINO, TRANSFORMERS
from satchel.errors import EncoderError

LAYOUTS: Final = (TIMM, OPEN_CLIP, TRANSFORMERS, DINO)

MAX_BLOCKS: Final = 100
SHOWN: Final = 5
"""Names that a message shows, at most."""


@dataclass
class Found:
    """The tensors of an image encoder in a checkpoint: our name → theirs.

    Attributes:
        blocks: how many there are.
    """

    checkpoint: Checkpoint
    layout: Layout
    prefix: str
    blocks: int = 0
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, as the file has it; of joined ones, of the first."""
        return self.checkpoint.shapes[self.names[name][0]]

    @property
    def numbers(self) -> int:
        """How many numbers all tensors hold."""
        shapes = self.checkpoint.shapes
        return sum(prod(shapes[one]) for each in self.names.values() for one in each)

    def read(self, name: str) -> Floats:
        """Read a tensor as float32, as the file has it."""
        parts = [self.checkpoint.read(one) for one in self.names[name]]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def find(checkpoint: Checkpoint) -> Found:
    """Find the image encoder in a checkpoint.

    Raises:
        EncoderError: it has none of a known layout, tensors are missing, or there are others.
    """
    for layout in LAYOUTS:
        for prefix in layout.prefixes:
            if f"{prefix}{layout.mark}" in checkpoint:
                found = Found(checkpoint, layout, prefix)
                _take(found)
                return found
    first = ", ".join(sorted(checkpoint)[:SHOWN])
    raise EncoderError(
        f"{checkpoint.path.name} has no image encoder that is known: expected a ViT as timm, "
        f"open_clip or transformers name its tensors, got {first}, …. ConvNeXt and EfficientNet "
        "need timm's config.json next to the file"
    )


def _take(found: Found) -> None:
    """Account for every name of the image encoder."""
    layout, checkpoint = found.layout, found.checkpoint
    start = found.prefix + layout.block.partition("{i}")[0]
    numbers = {
        int(rest)
        for name in checkpoint
        if name.startswith(start) and (rest := name[len(start) :].partition(".")[0]).isdecimal()
    }
    found.blocks = max(numbers, default=-1) + 1
    if not 0 < found.blocks <= MAX_BLOCKS:
        raise EncoderError(
            f"{checkpoint.path.name}: expected 1 to {MAX_BLOCKS} blocks, got {found.blocks}"
        )
    missing: list[str] = []

    def theirs(keys: str | tuple[str, ...], block: str) -> tuple[str, ...]:
        each = (keys,) if isinstance(keys, str) else keys
        return tuple(
            key[1:] if key.startswith("/") else f"{found.prefix}{block}{key}" for key in each
        )

    def take(group: Keys, ours: str = "", block: str = "", *, optional: bool = False) -> None:
        names = {ours + name: theirs(keys, block) for name, keys in group.items()}
        flat = [one for each in names.values() for one in each]
        if optional and not any(one in checkpoint for one in flat):
            return
        missing.extend(one for one in flat if one not in checkpoint)
        found.names.update(names)

    take(layout.always)
    for group in layout.groups:
        take(group, optional=True)
    for number in range(found.blocks):
        block = layout.block.format(i=number)
        take(layout.in_block, f"{number}.", block)
        for group in layout.block_groups:
            take(group, f"{number}.", block, optional=True)
    used = {one for each in found.names.values() for one in each}
    ignored = re.compile(layout.ignored)
    unexpected = [
        name
        for name in checkpoint
        if name.startswith(found.prefix)
        and name not in used
        and not ignored.match(name[len(found.prefix) :])
    ]
    if missing or unexpected:
        raise EncoderError(
            f"{checkpoint.path.name} is no image encoder that can be converted ({layout.name}): "
            f"{_counted(missing, 'missing')}; {_counted(unexpected, 'unexpected')}. It is another "
            "architecture, or not the whole file"
        )


def _counted(names: list[str], what: str) -> str:
    if not names:
        return f"none {what}"
    more = ", …" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"
