"""The terms that people accept: a text in each language, and its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.errors import WorkspaceError
from satchel.market_settings import Market
from satchel.translations import DEFAULT, NAMES

TEXTS: Final = Path(__file__).parent / "texts"
MAX_BYTES: Final = 200_000
HEADING: Final = "# "


@dataclass(frozen=True, slots=True)
class Terms:
    """What people accept.

    Attributes:
        version: what is recorded when somebody accepts them.
        texts: language → text.
    """

    version: str
    texts: Mapping[str, str]

    @classmethod
    def of(cls, settings: Market, folder: Path) -> Terms:
        """Read the terms that the settings name, or those that come with Satchel.

        Args:
            folder: of the workspace.

        Raises:
            WorkspaceError: the file cannot be read.
        """
        if not settings.terms_file:
            return cls(settings.terms, {code: _read(TEXTS / f"terms.{code}.txt") for code in NAMES})
        path = folder / settings.terms_file
        texts = {DEFAULT: _read(path)}
        for code in NAMES:
            own = path.with_name(f"{path.stem}.{code}{path.suffix}")
            if own.is_file():
                texts[code] = _read(own)
        return cls(settings.terms, texts)

    def text(self, language: str) -> tuple[str, str]:
        """Return the text in a language, or in the one that there is, and which that is."""
        found = language if language in self.texts else DEFAULT
        return self.texts[found], found


def blocks(text: str) -> list[tuple[bool, str]]:
    """Split a text at its empty lines: headings, which begin with `# `, and paragraphs.

    Returns:
        Of each, whether it is a heading, and what it says.
    """
    parts = (part.strip() for part in text.split("\n\n"))
    return [(part.startswith(HEADING), part.removeprefix(HEADING)) for part in parts if part]


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has {len(data):,} bytes")
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"expected the terms as text in UTF-8 of at most {MAX_BYTES:,} bytes in {path}: "
            f"{error}; check terms_file of [market] in satchel.toml"
        ) from None
