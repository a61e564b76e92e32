"""How numbers are printed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model.study import ABSENT, TableSpec
from orchestrator.stats.estimate import Estimate

_FRACTIONS = ("error", "accuracy", "rate", "fraction", "share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a metric's numbers are printed: decimals, and whether in per cent."""

    digits: int
    percent: bool

    def number(self, value: float) -> str:
        """Returns a number as printed."""
        return number(value, self.digits, percent=self.percent)

    def difference(self, value: float) -> str:
        """Returns a number with its sign, which zero has none of."""
        text = self.number(value)
        return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def is_fraction(metric: str) -> bool:
    """Returns whether a metric is a share of something, by its name: "test_error" is, "test_loss" is not."""
    return metric.lower().endswith(_FRACTIONS)


def per_cent(spec: TableSpec, metrics: Sequence[str]) -> frozenset[str]:
    """Returns the metrics that a table prints in per cent.

    `percent: true` speaks of fractions; where a table has such metrics and others, the others stay.
    """
    if not spec.percent:
        return frozenset()
    return frozenset(metric for metric in metrics if is_fraction(metric)) or frozenset(metrics)


def default_digits(values: Iterable[float], *, percent: bool) -> int:
    """Returns decimals for a metric: 2 in per cent; else 4 below 10, 2 below 1,000 and 0 above.

    Args:
        values: The metric's estimates in the whole table: all its entries have equally many decimals.
        percent: Whether it is printed in per cent.
    """
    if percent:
        return 2
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 4 if largest < 10 else 2 if largest < 1000 else 0


def number(value: float, digits: int, *, percent: bool) -> str:
    """Returns a number as printed, without a sign before zero."""
    text = f"{value * 100 if percent else value:.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text


def statistic(estimate: Estimate, show: str, digits: int, *, percent: bool) -> str:
    """Returns "7.10 ± 0.20", "7.10 [6.85, 7.35]" or "7.10"; "–" stands where seeds are too few."""
    if show == "n":
        return f"{estimate.n}"
    if estimate.value is None:
        return ABSENT
    text = number(estimate.value, digits, percent=percent)
    if "±" in show:
        spread = estimate.spread
        return f"{text} ± {ABSENT if spread is None else number(spread, digits, percent=percent)}"
    if "[" in show:
        if estimate.interval is None:
            return f"{text} [{ABSENT}]"
        low, high = (number(end, digits, percent=percent) for end in estimate.interval)
        return f"{text} [{low}, {high}]"
    return text


_PREFIXES: Mapping[float, str] = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k"}


def magnitude(value: float) -> str:
    """Returns a count as papers print it: "1.5M", "30.1k", "812"."""
    for factor, prefix in _PREFIXES.items():
        # 999,960 is 1.0M rather than 1000.0k.
        if abs(value) >= factor * 0.99995:
            return f"{value / factor:.1f}{prefix}"
    return f"{value:g}"
