"""Checks of configuration values: each raises a ValueError that says what, got, allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any


def real(key: str, value: Any) -> float:
    """Returns the number as a float.

    Raises:
        ValueError: It is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number, got {value!r}")
    return float(value)


def within(key: str, value: float, *, most: float) -> None:
    """Checks that 0 < value <= most."""
    if not 0 < value <= most:
        raise ValueError(f"{key} must be more than 0 and at most {most:g}, got {value!r}")


def whole(key: str, value: Any, *, least: int) -> None:
    """Checks for an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{key} must be an integer, at least {least}; got {value!r}")


def width(value: float) -> None:
    """Checks that 16 x width is a whole, positive number of channels."""
    channels = 16 * value
    if channels < 1 or channels != int(channels):
        nearest = sorted({max(1, math.floor(channels)) / 16, max(1, math.ceil(channels)) / 16})
        raise ValueError(
            f"width must give whole channels, 16 x width = 1, 2, 3, ...; got {value!r} "
            f"({channels:g} channels); nearest allowed: {' and '.join(f'{each:g}' for each in nearest)}"
        )


def depth(kind: str, key: str, value: Any, *, period: int, offset: int = 2) -> None:
    """Checks that a depth is `offset` plus a multiple of `period`, so that no layer is lost silently."""
    least = offset + period
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{kind}: {key} must be an integer, got {value!r}")
    if value >= least and (value - offset) % period == 0:
        return
    below = value - (value - offset) % period
    nearest = [each for each in (below, below + period) if each >= least] or [least]
    raise ValueError(
        f"{kind}: {key} must be {offset} plus a multiple of {period}, at least {least}, to fill three equal "
        f"groups; got {value}; nearest allowed: {' and '.join(str(each) for each in nearest)}"
    )


def one_of(key: str, value: Any, allowed: Sequence[Any], *, otherwise: str = "") -> None:
    """Checks that a value is one of a few, by equality and type."""
    if any(value == each and type(value) is type(each) for each in allowed):
        return
    choices = [repr(each) for each in allowed] + ([otherwise] if otherwise else [])
    close = get_close_matches(str(value), [str(each) for each in allowed], n=1, cutoff=0.75)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{key} must be {', '.join(choices[:-1])} or {choices[-1]}; got {value!r}{hint}")


def subset(key: str, values: Sequence[Any], allowed: Sequence[str]) -> None:
    """Checks for a list of different allowed values, at least one."""
    if not values:
        raise ValueError(f"{key} must name at least one of {', '.join(allowed)}; got an empty list")
    for value in values:
        one_of(f"each of {key}", value, allowed)
    twice = sorted({value for value in values if list(values).count(value) > 1})
    if twice:
        raise ValueError(f"{key} must name each path once; got {', '.join(twice)} more than once")
