"""Class maps: the class names of an annotation file → those that are kept here."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from satchel.annotate.checks import BadAnnotation, text
from satchel.errors import UsageError

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class ClassMap:
    """Names of classes → the names to keep them under; an empty name leaves the class out.

    Names are compared without regard to case, width and outer spaces. A class that is not in the
    map keeps its name.
    """

    names: Mapping[str, str]

    @classmethod
    def read(cls, file: Path | None = None, pairs: Iterable[str] = ()) -> ClassMap:
        """Make a map of a TOML file, and of `NAME=OTHER` pairs, which win.

        The file holds `"Small Bag" = "bag"` lines, or `bag = ["Bag", "Small Bag"]`, or both.

        Raises:
            UsageError: the file cannot be read, or a pair is none.
        """
        names = {} if file is None else dict(_of_file(file))
        for pair in pairs:
            name, equals, other = pair.rpartition("=")
            if not equals or not name.strip():
                raise UsageError(
                    f"expected a class and the name to keep it under, got {pair!r}; "
                    'write "Small Bag=bag", or "Small Bag=" to leave it out'
                )
            names[_key(name)] = _kept(other, pair)
        return cls(names)

    def __call__(self, label: str) -> str | None:
        """Return the name that a class is kept under; None where it is left out."""
        return self.names.get(_key(label), label) or None


def _of_file(path: Path) -> Iterable[tuple[str, str]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"expected a class map of at most {MAX_BYTES:,} bytes at {path}")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read ({reason}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    for key, value in table.items():
        if isinstance(value, str):
            yield _key(key), _kept(value, key)
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            yield from ((_key(one), _kept(key, one)) for one in value)
        else:
            raise UsageError(
                f'{path}: {key}: expected "{key}" = "name" or {key} = ["Class", "Other class"], '
                f"got {value!r:.80}"
            )


def _kept(name: str, pair: str) -> str:
    if not name.strip():
        return ""
    try:
        return text(name, "class name")
    except BadAnnotation as error:
        raise UsageError(f"{error} in {pair!r:.80}") from None


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()
