"""Satchel names the exact model of a second-hand luxury good from photos.

    from satchel import Identifier
    identifier = Identifier.open("my-workspace")
    print(identifier.identify(Path("bag.jpg").read_bytes()))

Importing the package loads nothing heavy: `Identifier` and `Workspace` are fetched on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from satchel.identify import Identifier
    from satchel.workspace import Workspace

__version__ = "0.1.0"
__all__ = ["Identifier", "Workspace", "__version__"]


def __getattr__(name: str) -> object:
    match name:
        case "Identifier":
            from satchel.identify import Identifier  # noqa: PLC0415

            return Identifier
        case "Workspace":
            from satchel.workspace import Workspace  # noqa: PLC0415

            return Workspace
        case _:
            raise AttributeError(f"module 'satchel' has no attribute {name!r}")
