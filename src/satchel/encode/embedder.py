"""An encoder paired with the locator that crops for it, and what their embeddings belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from satchel.encode.card import EncoderCard
from satchel.encode.embed import Closer, embed
from satchel.encode.encoder import Encoder
from satchel.encode.fit import NOT_MEASURED, EncoderFit
from satchel.images import RGB
from satchel.locate.locator import Locator
from satchel.records import Box, PhotoEmbedding


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """What embeddings belong to: an encoder and a locator. Only those of one space are compared.

    Attributes:
        card: of the encoder.
        locator: its id; None where the encoder's saliency locates.
        fit: how its cosines compare with those that thresholds are stated for.
    """

    card: EncoderCard
    locator: str | None = None
    fit: EncoderFit = NOT_MEASURED

    @property
    def id(self) -> str:
        """SHA-256 that names the space; without a locator, that of the encoder's model."""
        if self.locator is None:
            return self.card.sha256
        return hashlib.sha256(f"{self.card.sha256} {self.locator}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Embedder:
    """Embeds photos in one space. Safe to use from several threads.

    Attributes:
        locator: finds the object; None: the encoder's saliency does.
        fit: of the space that it embeds in.
    """

    encoder: Encoder
    locator: Locator | None = None
    fit: EncoderFit = NOT_MEASURED

    @property
    def space(self) -> EmbeddingSpace:
        """What its embeddings belong to."""
        locator = None if self.locator is None else self.locator.id
        return EmbeddingSpace(self.encoder.card, locator, self.fit)

    def embed(
        self,
        photos: Sequence[RGB],
        *,
        boxes: Sequence[Box | None] | None = None,
        gallery: bool = False,
        closer: Closer | None = None,
    ) -> list[PhotoEmbedding]:
        """Locate and encode the object in each photo; see `satchel.encode.embed.embed`."""
        return embed(
            self.encoder,
            photos,
            locator=self.locator,
            boxes=boxes,
            gallery=gallery,
            closer=closer,
        )
