"""The interface of annotation tools, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.errors import UsageError
from satchel.extras import need_extra


@dataclass(frozen=True, slots=True)
class PhotoToLabel:
    """A photo to push.

    Attributes:
        file: its JPEG.
        photo: how it is named, and its pre-labels.
    """

    file: Path
    photo: AnnotatedPhoto


@dataclass(frozen=True, slots=True)
class TaskPart:
    """A part of a task that changed since it was pulled, or is not finished.

    Attributes:
        key: of the part within its task.
        name: for people.
        state: what to compare with next time.
        checked: a person has finished it: photos without boxes show no product.
        by: the person, where the tool says it for the whole part.
        note: what is not finished; empty where all is.
        read: yields its photos; None where nothing changed, and only the note counts.
    """

    key: str
    name: str
    state: str
    checked: bool
    by: str | None
    note: str
    read: Callable[[], Iterator[AnnotatedPhoto | BoxProblem]] | None


class AnnotationTool(Protocol):
    """A server for annotation."""

    name: str
    title: str
    url: str

    def create(self, title: str, labels: Sequence[str]) -> int:
        """Make a task without photos, and return its id.

        Raises:
            AnnotationToolError: the server cannot be reached or refuses.
        """

    def fill(self, task: int, photos: Sequence[PhotoToLabel]) -> None:
        """Send the photos of a task and their pre-labels, once.

        Raises:
            AnnotationToolError: the server cannot be reached or refuses; it may have a part.
        """

    def remove(self, task: int) -> bool:
        """Remove a task, unless people have drawn in it.

        Returns:
            whether it is gone.

        Raises:
            AnnotationToolError: the server cannot be reached or refuses.
        """

    def changed(self, task: int, pulled: Mapping[str, str]) -> Iterator[TaskPart]:
        """Yield the parts of a task that changed, and those that are not finished.

        Args:
            pulled: state of each part when it was pulled.

        Raises:
            AnnotationToolError: the server cannot be reached or refuses.
        """

    def address(self, task: int) -> str:
        """Return the URL of a task, for people."""


TOOLS: Final = {"cvat": "annotate", "label-studio": "label-studio"}
"""Tool → extra that brings its own client."""
TOKENS: Final = {"cvat": "CVAT_ACCESS_TOKEN", "label-studio": "LABEL_STUDIO_API_KEY"}
"""Environment variable that holds the token, by tool: the names that their own clients use."""
URLS: Final = {"cvat": "CVAT_URL", "label-studio": "LABEL_STUDIO_URL"}


def connect(name: str, url: str, token: str) -> AbstractContextManager[AnnotationTool]:
    """Connect to a server, and check that it knows the token.

    Args:
        name: one of `TOOLS`.
        token: never printed.

    Raises:
        UsageError: there is no such tool, or the URL is none.
        AnnotationToolError: the server cannot be reached, or refuses the token.
        MissingExtra: the tool's own client is not installed.
    """
    check_tool(name)
    address = checked_url(url)
    if name == "cvat":
        from satchel.annotate.tools.cvat import connect_cvat  # noqa: PLC0415 - an extra

        return connect_cvat(address, token)
    from satchel.annotate.tools.label_studio import connect_label_studio  # noqa: PLC0415

    return connect_label_studio(address, token)


def check_tool(name: str) -> None:
    """Check that there is such a tool, and that its own client is installed.

    Raises:
        UsageError: there is no such tool.
        MissingExtra: its client is not installed.
    """
    if name not in TOOLS:
        raise UsageError(f"expected one of {', '.join(TOOLS)}, got {name!r}")
    need_extra(TOOLS[name])


def checked_url(url: str) -> str:
    """Return a server's URL without a slash at its end.

    Raises:
        UsageError: it is none, or holds a password, which would be kept and printed.
    """
    parts = urlsplit(url.strip())
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        usable = False
    if not usable:
        raise UsageError(f"expected a server's address such as http://localhost:8080, got {url!r}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("expected a server's address without user, password and query in it")
    return url.strip().rstrip("/")
