"""Photos of listings as everybody may see them: smaller, and with people blurred.

A job makes them when a good is offered, so that no page waits for it; one that is missing is made
when it is shown. Each is a file, which may be deleted at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from satchel.catalog.photos import PhotoStore
from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.errors import CatalogueError
from satchel.files import write_atomically
from satchel.images import decode, encode_jpeg, shrunk
from satchel.market.privacy.blur import Blurrer
from satchel.parallel import cores
from satchel.photo_header import PhotoLimits
from satchel.workspace import Workspace

SIDE_PX: Final = 1_600
SHOWN_PX: Final = (640,)
"""Sides of the small copies that pages show."""

PREVIEW_WH: Final = 1_200, 630
"""Size of a picture that messengers and social networks show with a link (Open Graph)."""
PAPER: Final = 251, 250, 247
"""Colour around the photo on a preview: that of the pages."""

QUALITY: Final = 85
WEBP_QUALITY: Final = 80


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

    @classmethod
    def of(cls, workspace: Workspace, decoder: Decoder = IN_PROCESS) -> PublicPhotos:
        """Open those of a workspace, by its settings."""
        return cls(
            workspace.market_photos,
            workspace.market_folder / "public",
            decoder,
            workspace.settings.photos.limits(),
            blur=workspace.settings.market.blur,
        )

    def prepare(self, sha256: str) -> None:
        """Make the copies that pages show of a photo.

        Raises:
            CatalogueError, PhotoError, StorageError: see `read`.
        """
        for side_px in SHOWN_PX:
            self.small(sha256, side_px)

    def read(self, sha256: str) -> bytes:
        """Return the public copy of the photo with this SHA-256: a JPEG of 1,600 pixels at most.

        Raises:
            CatalogueError: the photo is gone.
            PhotoError: it cannot be decoded.
            StorageError: the copy cannot be written.
        """
        return self._kept(self._path(sha256, "jpg"), lambda: self._make(sha256))

    def small(self, sha256: str, side_px: int) -> bytes:
        """Return the public copy still smaller: a WebP of `side_px` at most.

        Raises:
            CatalogueError, PhotoError, StorageError: see `read`.
        """
        path = self._path(sha256, f"{side_px}.webp")
        return self._kept(path, lambda: self._make_small(sha256, side_px))

    def preview(self, sha256: str) -> bytes:
        """Return the public copy as links to its good are shown with: a JPEG of `PREVIEW_WH`.

        Raises:
            CatalogueError, PhotoError, StorageError: see `read`.
        """
        return self._kept(self._path(sha256, "preview.jpg"), lambda: self._make_preview(sha256))

    def keeps(self, sha256: str, side_px: int | None) -> bool:
        """Whether `small`, or `read` where no side is given, has nothing to make."""
        with suppress(CatalogueError):  # it is no SHA-256
            return self._path(sha256, "jpg" if side_px is None else f"{side_px}.webp").is_file()
        return False

    def forget(self, sha256: str) -> None:
        """Delete the copies of a photo that was removed."""
        whole = self._path(sha256, "jpg")
        for path in whole.parent.glob(f"{sha256}.*"):
            path.unlink(missing_ok=True)

    def _path(self, sha256: str, suffix: str) -> Path:
        return self._copies.path(sha256).with_name(f"{sha256}.{suffix}")

    def _kept(self, path: Path, make: Callable[[], bytes]) -> bytes:
        """Return a copy, made if it is not there yet; as many at once as there are cores."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        data = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
        return data

    def _make(self, sha256: str) -> bytes:
        with self._making:
            pixels = self._decoder.decode(
                self._store.read(sha256), min_side_px=SIDE_PX, limits=self._limits
            )
            small = shrunk(pixels, SIDE_PX)
            return encode_jpeg(self._blurrer(small) if self._blur else small, QUALITY)

    def _make_small(self, sha256: str, side_px: int) -> bytes:
        whole = self.read(sha256)
        with self._making:
            pixels = decode(whole, min_side_px=side_px)  # our own JPEG: no worker is needed
            out = BytesIO()
            Image.fromarray(shrunk(pixels, side_px)).save(out, "WEBP", quality=WEBP_QUALITY)
        return out.getvalue()

    def _make_preview(self, sha256: str) -> bytes:
        whole = self.read(sha256)
        with self._making:
            photo = Image.fromarray(decode(whole, min_side_px=max(PREVIEW_WH)))
            return encode_jpeg(np.asarray(ImageOps.pad(photo, PREVIEW_WH, color=PAPER)), QUALITY)

    @cached_property
    def _blurrer(self) -> Blurrer:
        """Loaded when the first photo is shown."""
        return Blurrer()
