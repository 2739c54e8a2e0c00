"""`satchel locate`: find the objects in photos, as identification does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.encode.card import BUILTIN
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.encode.registry import serving_card
from satchel.errors import PhotoError, PhotoTooLarge
from satchel.images import RGB, read_photo
from satchel.locate.locator import Locator, main_detection
from satchel.locate.registry import configured_locator
from satchel.locate.rules import LocateRules
from satchel.parallel import cores
from satchel.photo_header import PhotoLimits
from satchel.records import Box, Detection, Problem
from satchel.workspace import Workspace


@dataclass(frozen=True, slots=True)
class LocatedPhoto:
    """A photo, and what was found in it.

    Attributes:
        pixels: at full size, upright, shape (h, w, 3), uint8.
        box: of the main object; None where there is no product.
        detections: best first; None where the encoder's saliency located.
    """

    path: Path
    pixels: RGB
    box: Box | None
    detections: tuple[Detection, ...] | None


class PhotoLocator:
    """Finds objects by a detector or, without one, by an encoder's saliency."""

    def __init__(self, locator: Locator | None, encoder: Encoder | None) -> None:
        self._locator = locator
        self._encoder = encoder

    @classmethod
    def open(cls, rules: LocateRules, folder: Path, workspace: Workspace | None) -> PhotoLocator:
        """Open the locator that the settings name.

        Args:
            folder: that paths in the settings begin from.
            workspace: whose encoder locates by saliency; without one, the built-in encoder.

        Raises:
            EncoderError, LocatorError: a model's files are missing, altered or inconsistent.
        """
        file = configured_locator(rules, folder)
        if file is not None:
            return cls(file.load(threads=cores()), None)
        card = BUILTIN if workspace is None else serving_card(workspace.models)
        return cls(None, Encoder.load(card, threads=cores()))

    def locate(
        self,
        paths: Iterable[Path],
        limits: PhotoLimits,
        *,
        decoder: Decoder = IN_PROCESS,
        read: Callable[[Path, PhotoLimits], bytes] = read_photo,
    ) -> Iterator[LocatedPhoto | Problem]:
        """Find the objects in each photo; one that cannot be read is a problem.

        Args:
            decoder: what decodes photos; a `satchel.decoding.pool.DecoderPool` for those of
                strangers.
            read: reads a photo's file; raises `PhotoError`.
        """
        for path in paths:
            try:
                data = read(path, limits)
                located = self._boxes(decoder.decode(data, limits=limits))
                yield LocatedPhoto(path, _full_size(data, limits, decoder), *located)
            except PhotoError as error:
                yield Problem(str(path), str(error))

    def _boxes(self, pixels: RGB) -> tuple[Box | None, tuple[Detection, ...] | None]:
        """The main object's box, and all detections."""
        if self._encoder is not None:
            (embedded,) = embed(self._encoder, [pixels])
            return embedded.box, None
        assert self._locator is not None
        detections = tuple(self._locator.locate([pixels])[0])
        main = main_detection(detections)
        return None if main is None else main.box, detections


def _full_size(data: bytes, limits: PhotoLimits, decoder: Decoder) -> RGB:
    """All pixels of a photo, for drawing; fewer, where all take too much memory."""
    try:
        return decoder.decode(data, min_side_px=None, limits=limits)
    except PhotoTooLarge:
        return decoder.decode(data, limits=limits)
