"""A described network in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from rich.table import Table as RichTable

from orchestrator.console.tables import listing

_BARS: Final = " ▁▂▃▄▅▆▇█"
_COLUMNS: Final = 40
# From here on a number is read as a power of ten.
_LONG: Final = 10**18


def network_view(name: str, described: Mapping[str, Any]) -> RichTable:
    """Returns what `orch model` found, a line for each fact.

    Args:
        name: Kind of the network.
        described: As `orchestrator.app.model.describe` returns it.
    """
    rows: list[tuple[str, str]] = []
    for key, value in described.items():
        if key == "path_lengths":
            rows += [("path lengths", line) for line in path_lengths(value)]
        elif key == "printed":
            rows += [("printed", _printed(each)) for each in value]
        elif key == "notes":
            rows += [("note", note) for note in value]
        elif key == "network":
            rows += [(f"network.{field}", _value(each)) for field, each in value.items()]
        else:
            rows.append((key.replace("_", " "), _value(value)))
    return listing(["", name], rows)


def path_lengths(ways: Mapping[int, int]) -> Iterator[str]:
    """Yields a distribution of path lengths in a line or two.

    Args:
        ways: Layers of a way -> number of ways, integers of any size.
    """
    total = sum(ways.values())
    if len(ways) == 1:
        yield f"{min(ways):,} layers"
        return
    mean = Fraction(sum(length * count for length, count in ways.items()), total)
    square = Fraction(sum(length**2 * count for length, count in ways.items()), total)
    low, high = (_quantile(ways, Fraction(each, 20) * total) for each in (1, 19))
    spread = math.sqrt(square - mean**2)
    yield (
        f"{min(ways):,} to {max(ways):,} layers, mean {float(mean):.1f}, std {spread:.1f}; "
        f"90 % have {low:,} to {high:,}"
    )
    yield _bars(ways)


def _quantile(ways: Mapping[int, int], rank: Fraction) -> int:
    """Returns the least length such that `rank` ways are no longer."""
    seen = 0
    for length in sorted(ways):
        seen += ways[length]
        if seen >= rank:
            return length
    return max(ways)


def _bars(ways: Mapping[int, int]) -> str:
    first, last = min(ways), max(ways)
    width = -(-(last - first + 1) // _COLUMNS)  # lengths a bar; all bars have equally many
    heights = [0] * -(-(last - first + 1) // width)
    for length, count in ways.items():
        heights[(length - first) // width] += count
    most = max(heights)
    # what is there shows, however little
    levels = [0 if not each else max(1, each * (len(_BARS) - 1) // most) for each in heights]
    return f"{first:,} {''.join(_BARS[level] for level in levels)} {last:,}"


def _printed(each: Mapping[str, Any]) -> str:
    verdict = "reproduced" if each["reproduced"] else "not reproduced"
    said = [verdict, each["note"]] if each["reproduced"] or not each["note"] else [each["note"]]
    return f"{each['figure']} ({each['source']}): {'; '.join(part for part in said if part)}"


def _value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    text = f"{value:,}" if abs(value) < _LONG else _rounded(value)
    power = value.bit_length() - 1
    return f"2^{power} = {text}" if value > 64 and value == 1 << power else text


def _rounded(value: int) -> str:
    digits = str(abs(value))
    mantissa = round(int(digits[:8]) / 10**7, 2)
    return f"{'-' * (value < 0)}{mantissa:.2f} × 10^{len(digits) - 1}"
