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


def count(name: str, value: object, *, least: int) -> None:
    """Checks for a whole number of at least `least`."""
    require(is_count(value) and value >= least, name, value, f"a whole number of at least {least}")  # type: ignore[operator]


def share(name: str, value: object, *, zero: bool = False) -> None:
    """Checks for a number in (0, 1], or in [0, 1] where `zero`."""
    fits = is_finite(value) and (value >= 0 if zero else value > 0) and value <= 1  # type: ignore[operator]
    require(fits, name, value, f"0 {'<=' if zero else '<'} {name} <= 1")


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Checks that a value is one of a few words."""
    require(value in allowed, name, value, f"one of {', '.join(allowed)}")
