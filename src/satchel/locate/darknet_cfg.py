"""Darknet's `.cfg` files: sections of options, with the line of each for messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.errors import LocatorError
from satchel.validation import reason

MAX_CFG_BYTES: Final = 1_000_000
MAX_SECTIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Section:
    """A layer, or `[net]`.

    Attributes:
        file: name of the cfg.
        line: of its heading, from 1.
        options: name → value and its line.
    """

    file: str
    name: str
    line: int
    options: Mapping[str, tuple[str, int]]

    def integer(self, option: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number in [low, high].

        Raises:
            LocatorError: it is none, is out of range, or is missing and has no default.
        """
        text, line = self._option(option, default)
        if not re.fullmatch(r"[+-]?\d{1,9}", text) or not low <= int(text) <= high:
            raise self._wrong(line, option, f"a whole number from {low:,} to {high:,}", text)
        return int(text)

    def integers(self, option: str, default: str | None = None) -> list[int]:
        """Whole numbers, separated by commas.

        Raises:
            LocatorError: one of them is none, or they are missing and have no default.
        """
        text, line = self._option(option, default)
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts or not all(re.fullmatch(r"[+-]?\d{1,9}", part) for part in parts):
            raise self._wrong(line, option, "whole numbers, separated by commas", text)
        return [int(part) for part in parts]

    def numbers(self, option: str, default: str | None = None) -> list[float]:
        """Numbers in [0, 100,000], separated by commas.

        Raises:
            LocatorError: one of them is none, or they are missing and have no default.
        """
        text, line = self._option(option, default)
        parts = [part.strip() for part in text.split(",") if part.strip()]
        try:
            values = [float(part) for part in parts]
        except ValueError:
            values = []
        if not values or not all(0 <= number <= 100_000 for number in values):
            raise self._wrong(line, option, "numbers from 0 to 100,000", text)
        return values

    def text(self, option: str, default: str) -> str:
        """The value as it stands."""
        return self._option(option, default)[0]

    def fault(self, message: str, option: str | None = None) -> LocatorError:
        """An error in this section, or in one of its options."""
        line = self.options[option][1] if option and option in self.options else self.line
        return LocatorError(f"{self.file}, line {line}, [{self.name}]: {message}")

    def _option(self, option: str, default: object) -> tuple[str, int]:
        if option in self.options:
            return self.options[option]
        if default is None:
            raise self.fault(f"expected the option {option}, there is none")
        return str(default), self.line

    def _wrong(self, line: int, option: str, wanted: str, text: str) -> LocatorError:
        return LocatorError(
            f"{self.file}, line {line}, [{self.name}]: expected {option} to be {wanted}, "
            f"got {text[:60]!r}"
        )


def read_cfg(path: Path) -> tuple[Section, list[Section], bytes]:
    """Read a cfg.

    Returns:
        `[net]`, the layers in order, and the file's bytes.

    Raises:
        LocatorError: it cannot be read, is too large, or is no cfg.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CFG_BYTES + 1)
    except OSError as error:
        raise LocatorError(f"cannot read the Darknet cfg {path}: {reason(error)}") from None
    if len(data) > MAX_CFG_BYTES:
        raise LocatorError(
            f"{path} has more than {MAX_CFG_BYTES:,} bytes: it is no Darknet cfg; a cfg is text "
            "that begins with [net]"
        )
    first, *layers = _sections(path.name, data.decode("utf-8", errors="replace"))
    if first.name not in ("net", "network"):
        raise first.fault("expected the first section to be [net]")
    if not layers:
        raise first.fault("expected layers after [net], there are none")
    return first, layers, data


def _sections(file: str, text: str) -> list[Section]:
    sections: list[Section] = []
    options: dict[str, tuple[str, int]] = {}
    for line, raw in enumerate(text.splitlines(), start=1):
        row = raw.partition("#")[0].partition(";")[0].strip()
        if not row:
            continue
        if heading := re.fullmatch(r"\[\s*([\w-]+)\s*\]", row):
            options = {}
            sections.append(Section(file, heading[1].lower(), line, options))
            if len(sections) > MAX_SECTIONS:
                raise LocatorError(f"{file}: expected {MAX_SECTIONS:,} sections at most")
            continue
        name, equals, value = (part.strip() for part in row.partition("="))
        if not equals or not sections:
            raise LocatorError(
                f"{file}, line {line}: expected [section] or option=value, got {row[:60]!r}"
            )
        options[name.lower()] = value, line
    if not sections:
        raise LocatorError(f"{file}: expected a Darknet cfg that begins with [net], it is empty")
    return sections
