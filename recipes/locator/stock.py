"""What scenes are composed of: goods by source, and street photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from recipes.locator.goods import Sprite, recoloured
from recipes.locator.settings import BALANCED, SPRITE_SHARES
from recipes.locator.street import StreetPhoto
from satchel.adapt.compose.drawing import Rng
from satchel.images import RGB

P_PRINT: Final = 0.3
"""Probability that a good gets a print."""

PRINT_PX: Final = (20, 120)


@dataclass(frozen=True, slots=True)
class Stock:
    """Goods and photos.

    Attributes:
        sprites: source → its goods; not all empty.
        photos: street photos; may be empty.
        shares: source → how often it is drawn from, relative to the others.
    """

    sprites: Mapping[str, Sequence[Sprite]]
    photos: Sequence[StreetPhoto] = ()
    shares: Mapping[str, float] = field(default_factory=lambda: SPRITE_SHARES)

    def draw(self, rng: Rng) -> Sprite:
        """A good, in another colour and mirrored at random."""
        sources = [source for source in self.shares if self.sprites.get(source)]
        weights = np.array([self.shares[source] for source in sources])
        source = sources[int(rng.choice(len(sources), p=weights / weights.sum()))]
        goods = self.sprites[source]
        if source in BALANCED and rng.random() < 0.5:
            labels = sorted({one.label for one in goods})
            label = labels[int(rng.integers(len(labels)))]
            goods = [one for one in goods if one.label == label]
        return self._varied(goods, rng)

    def draw_like(self, sprite: Sprite, rng: Rng) -> Sprite:
        """A good of the same class, from any source."""
        goods = [
            one
            for source in self.shares
            for one in self.sprites.get(source, ())
            if one.label == sprite.label
        ]
        return self._varied(goods, rng)

    def photo(self, rng: Rng) -> StreetPhoto:
        """Any street photo."""
        return self.photos[int(rng.integers(len(self.photos)))]

    def _varied(self, goods: Sequence[Sprite], rng: Rng) -> Sprite:
        sprite = recoloured(goods[int(rng.integers(len(goods)))], self._print(rng), rng)
        return sprite.mirrored() if rng.random() < 0.5 else sprite

    def _print(self, rng: Rng) -> RGB | None:
        """A square out of a street photo, now and then."""
        if not self.photos or rng.random() >= P_PRINT:
            return None
        pixels = self.photo(rng).read()
        side = min(int(rng.integers(*PRINT_PX)), *pixels.shape[:2])
        y, x = (int(rng.integers(0, free - side + 1)) for free in pixels.shape[:2])
        return np.ascontiguousarray(pixels[y : y + side, x : x + side])
