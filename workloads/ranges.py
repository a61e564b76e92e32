"""Checks of configuration values: one message form for what was got and what is allowed. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence


def require(fits: bool, name: str, got: object, allowed: str) -> None:
    """Raises the ValueError that names a field, what was got and what is allowed, unless it fits."""
    if not fits:
        raise ValueError(f"{name}: got {got!r}, allowed is {allowed}")


def is_count(value: object) -> bool:
    """Returns whether a value is an integer (and not a bool)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Returns whether a value is a finite number (and not a bool)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# The words of what is allowed are made only for a value that does not fit: planning makes many configs.


def count(name: str, value: object, *, least: int) -> None:
    """Checks for a whole number of at least `least`."""
    if type(value) is not int or value < least:
        require(False, name, value, f"a whole number of at least {least}")


def share(name: str, value: object, *, zero: bool = False) -> None:
    """Checks for a number in (0, 1], or in [0, 1] where `zero`."""
    if not is_finite(value) or value > 1 or value < 0 or (value == 0 and not zero):  # type: ignore[operator]
        require(False, name, value, f"0 {'<=' if zero else '<'} {name} <= 1")


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Checks that a value is one of a few words."""
    if value not in allowed:
        require(False, name, value, f"one of {', '.join(allowed)}")
