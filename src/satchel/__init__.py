"""Satchel names the exact model of a second-hand luxury good from photos.

    from pathlib import Path
    from satchel import Identifier

    identifier = Identifier.open("my-workspace")
    found = identifier.identify(Path("bag.jpg").read_bytes())
    print(found.verdict, [(c.product.code, c.confidence) for c in found.candidates])

Importing the package loads nothing heavy: each public name is imported on first use.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from satchel._version import __version__

# ONNX Runtime's builds write an id of the machine into the cache folder and report sessions and
# models to their maker, unless this is set before the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from satchel.errors import (
        EncoderError,
        IndexMissing,
        PhotoError,
        SatchelError,
        UsageError,
        WorkspaceError,
    )
    from satchel.identify import Identifier
    from satchel.records import Candidate, Identification, Product, Verdict
    from satchel.workspace import Workspace

__all__ = [
    "Candidate",
    "EncoderError",
    "Identification",
    "Identifier",
    "IndexMissing",
    "PhotoError",
    "Product",
    "SatchelError",
    "UsageError",
    "Verdict",
    "Workspace",
    "WorkspaceError",
    "__version__",
]

_HOMES = {
    "Candidate": "satchel.records",
    "Identification": "satchel.records",
    "Identifier": "satchel.identify",
    "Product": "satchel.records",
    "Verdict": "satchel.records",
    "Workspace": "satchel.workspace",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'satchel' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "satchel.errors")), name)
