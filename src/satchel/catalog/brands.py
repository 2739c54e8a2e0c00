"""Brands under all their names: 디올, "Christian Dior" and "DIOR" are one.

Brands are stored as they are written. Where they are compared, in import, search, filters and
look-alikes, they are compared by `Brands.key`.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from satchel.errors import WorkspaceError
from satchel.files import Stamp, stamp_of
from satchel.text import folded, squeezed
from satchel.validation import reason

FILE_NAME: Final = "brands.toml"
SHIPPED: Final = Path(__file__).with_name(FILE_NAME)

_FILE: Final = TypeAdapter(dict[str, list[str]])

log = logging.getLogger(__name__)


def plain(name: str) -> str:
    """Return a brand's name without differences of case, accents, spacing and punctuation."""
    return squeezed(name) or folded(name)


class Brands:
    """Spellings of brands: those that are shipped, and those of a workspace.

    Args:
        own: the workspace's file, which need not exist; read on first use, and again whenever it
            has changed.

    Attributes:
        files: that the spellings depend on.
    """

    def __init__(self, own: Path | None = None) -> None:
        self.files = () if own is None else (own,)
        self._known: tuple[Stamp, dict[str, str], dict[str, list[str]]] | None = None

    def key(self, name: str) -> str:
        """Return what all spellings of a brand have in common; of an unknown one, its own.

        Raises:
            WorkspaceError: the workspace's file cannot be read or is malformed.
        """
        alone = plain(name)
        return self._keys().get(alone, alone)

    def spellings(self, name: str) -> tuple[str, ...]:
        """Return all names of a brand, `name` first, without spaces and accents."""
        key = self.key(name)
        others = (other for other, of in self._keys().items() if of == key)
        return tuple(dict.fromkeys((plain(name), *others))) if name else ()

    def written(self, name: str) -> tuple[str, ...]:
        """Return the names of a brand as the lists write them, its main one first."""
        return tuple(self._read_once()[1].get(self.key(name), ())) if name else ()

    def _keys(self) -> dict[str, str]:
        """The key of each spelling."""
        return self._read_once()[0]

    def _read_once(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        """The key of each spelling, and the names of each key.

        A file that is malformed after a change counts from its next change on: until then a server
        goes on with the spellings that it has.
        """
        stamp, known = stamp_of(self.files), self._known
        if known is not None and known[0] == stamp:
            return known[1:]
        try:
            keys, names = self._read_all()
        except WorkspaceError as error:
            if known is None:
                raise
            log.warning("%s; the brands that were read before still count", error)
            keys, names = known[1:]
        self._known = stamp, keys, names
        return keys, names

    def _read_all(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        keys: dict[str, str] = {}
        names: dict[str, list[str]] = {}
        for path in (SHIPPED, *(path for path in self.files if path.exists())):
            brands = _read(path)
            keys |= _keys_of(brands, keys)
            for brand, others in brands.items():
                names.setdefault(keys[plain(brand)], []).extend((brand, *others))
        return keys, names


def _keys_of(
    brands: Mapping[str, list[str]], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Map each spelling to its brand's key; a brand of `known` keeps the key that it has there."""
    keys: dict[str, str] = {}
    for brand, others in brands.items():
        key = (known or {}).get(plain(brand), plain(brand))
        keys |= {plain(name): key for name in (brand, *others)}
    return keys


def _read(path: Path) -> dict[str, list[str]]:
    try:
        return _FILE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise WorkspaceError(
            f'expected lines such as "Dior" = ["디올", "Christian Dior"] in {path}: {reason(error)}'
        ) from None
