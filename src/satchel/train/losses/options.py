"""Validation of loss options: each function returns the value or raises ValueError."""

from __future__ import annotations

from collections.abc import Sequence


def number(option: str, value: float, low: float, high: float) -> float:
    """A number in [low, high]; NaN is refused."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise ValueError(f"expected {option} from {low:g} to {high:g}, got {value!r}")
    return float(value)


def numbers(option: str, values: Sequence[float], low: float, high: float) -> tuple[float, ...]:
    """A list of numbers in [low, high]."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"expected {option} to be a list of numbers, got {values!r}")
    return tuple(number(option, value, low, high) for value in values)


def integer(option: str, value: int, low: int) -> int:
    """An integer ≥ low."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"expected {option} to be an integer of at least {low}, got {value!r}")
    return value


def boolean(option: str, value: bool) -> bool:
    """True or false; 0 and 1 are refused."""
    if not isinstance(value, bool):
        raise ValueError(f"expected {option} to be true or false, got {value!r}")
    return value


def choice(option: str, value: str, known: Sequence[str]) -> str:
    """One of several names."""
    if value not in known:
        raise ValueError(f"expected {option} {', '.join(known[:-1])} or {known[-1]}, got {value!r}")
    return value
