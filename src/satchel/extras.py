"""Extras of the package: whether they are installed."""

from __future__ import annotations

from importlib.util import find_spec

from satchel.errors import EXTRAS, MissingExtra


def need_extra(extra: str) -> None:
    """Check that all modules of an extra are installed, without importing them.

    Args:
        extra: a key of `EXTRAS`.

    Raises:
        MissingExtra: one of them is not.
    """
    missing = missing_module(extra)
    if missing is not None:
        raise MissingExtra(extra, missing)


def missing_module(extra: str) -> str | None:
    """Return the first module of an extra that is not installed; None if all are."""
    return next((name for name in sorted(EXTRAS[extra]) if not is_installed(name)), None)


def is_installed(module: str) -> bool:
    """Whether a module can be found; it is not imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
