"""Photos of listings as everybody may see them: smaller, and with people blurred.

Each is made when it is first shown and kept as a file, which may be deleted at any time.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

from satchel.catalog.photos import PhotoStore
from satchel.decoding.decoder import Decoder
from satchel.files import write_atomically
from satchel.images import encode_jpeg, shrunk
from satchel.market.privacy.blur import Blurrer
from satchel.parallel import cores
from satchel.photo_header import PhotoLimits

SIDE_PX: Final = 1_600
QUALITY: Final = 85


class PublicPhotos:
    """Makes and keeps public copies of photos. Thread-safe.

    Args:
        store: of the originals.
        folder: where copies are kept.
        blur: whether faces and number plates are blurred.
    """

    def __init__(
        self,
        store: PhotoStore,
        folder: Path,
        decoder: Decoder,
        limits: PhotoLimits,
        *,
        blur: bool = True,
    ) -> None:
        self._store = store
        self._copies = PhotoStore(folder / ("blurred" if blur else "plain"))
        self._decoder = decoder
        self._limits = limits
        self._blur = blur
        self._making = BoundedSemaphore(cores())

    def read(self, sha256: str) -> bytes:
        """Return the public copy of the photo with this SHA-256: a JPEG of 1,600 pixels at most.

        Raises:
            CatalogueError: the photo is gone.
            PhotoError: it cannot be decoded.
            StorageError: the copy cannot be written.
        """
        path = self._copies.path(sha256)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        with self._making:
            data = self._make(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
        return data

    def forget(self, sha256: str) -> None:
        """Delete the copy of a photo that was removed."""
        self._copies.remove(sha256)

    def _make(self, sha256: str) -> bytes:
        pixels = self._decoder.decode(
            self._store.read(sha256), min_side_px=SIDE_PX, limits=self._limits
        )
        small = shrunk(pixels, SIDE_PX)
        return encode_jpeg(self._blurrer(small) if self._blur else small, QUALITY)

    @cached_property
    def _blurrer(self) -> Blurrer:
        """Loaded when the first photo is shown."""
        return Blurrer()
