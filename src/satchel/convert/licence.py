"""The licence of a model: what its page says, and whether a person has to accept it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from satchel.validation import StrictModel

README: Final = "README.md"
LICENCE_FILES: Final = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
READ_BYTES: Final = 64 << 10

PERMISSIVE: Final = frozenset(
    (
        "apache-2.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsl-1.0",
        "cc-by-4.0",
        "cc0-1.0",
        "cdla-permissive-2.0",
        "isc",
        "mit",
        "unlicense",
        "zlib",
    )
)
"""Identifiers, as model pages name them, of licences that allow every use with attribution."""

_FIELD: Final = re.compile(r"^(license|license_name|license_link):\s*(.+?)\s*$", re.MULTILINE)

_TEXTS: Final = (
    (re.compile(r"^\s*Apache License\s+Version 2\.0", re.MULTILINE), "apache-2.0"),
    (re.compile(r"Permission is hereby granted, free of charge"), "mit"),
    (re.compile(r"Redistribution and use in source and binary forms"), "bsd"),
    (re.compile(r"CC0 1\.0 Universal"), "cc0-1.0"),
)


class Licence(StrictModel):
    """The licence of a model.

    Attributes:
        name: its identifier or name; "unknown" where none was found.
        where: the file that says so, and a link if it has one.
    """

    name: str = "unknown"
    where: str = "no README.md or LICENSE says it"

    @property
    def permissive(self) -> bool:
        """Whether it allows every use with attribution, so that nobody needs to be asked."""
        return self.name in PERMISSIVE

    def __str__(self) -> str:
        return f"{self.name} ({self.where})"


def read_licence(folder: Path) -> Licence:
    """Read the licence of the model in a folder: of its card, README.md, or of a LICENSE file."""
    fields = dict(_FIELD.findall(_front_matter(folder / README)))
    if name := fields.get("license", "").strip("\"'[] ").lower():
        further = fields.get("license_name", "").strip("\"'") if name == "other" else ""
        link = fields.get("license_link", "").strip("\"'")
        return Licence(name=further or name, where=f"{README}, {link}" if link else README)
    for file in LICENCE_FILES:
        if text := _beginning(folder / file):
            for pattern, name in _TEXTS:
                if pattern.search(text):
                    return Licence(name=name, where=file)
            return Licence(where=f"{file} is none that is known")
    return Licence()


def _front_matter(path: Path) -> str:
    """The YAML between the first two lines of dashes."""
    text = _beginning(path)
    if not text.startswith("---"):
        return ""
    return text[3:].partition("\n---")[0]


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(READ_BYTES).decode("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError):
        return ""
