"""Small drawings as geometry: what a template writes as SVG, coloured by the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.app.entry import Curve, Place
from orchestrator.model.table import Entry

WIDTH: Final = 560.0
LEFT: Final = 56.0
RIGHT: Final = 14.0
CURVE_HEIGHT: Final = 240.0
TOP: Final = 12.0
BOTTOM: Final = 30.0
LINE: Final = 30.0  # height of an entry among its neighbours
NAMES: Final = 170.0  # width of their names
MOST_POINTS: Final = 160  # of a drawn curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A drawn curve: "x,y x,y ...", and what a pointer over it is told."""

    points: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Learning curves of one metric.

    Attributes:
        lines: One for each training.
        mean: Of all of them, "" where a mean says nothing; band: a polygon of its standard deviation.
    """

    metric: str
    width: float
    height: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...]
    mean: str
    band: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A seed's value."""

    x: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """An entry among its neighbours: its seeds as points, its estimate, what a paper prints.

    Attributes:
        y: Its middle.
        low: Ends of its interval or spread, None without one; high: likewise.
        printed: Where a paper's value is, None without one.
    """

    place: Place
    entry: Entry
    name: str
    own: bool
    y: float
    dots: tuple[Dot, ...]
    middle: float | None
    low: float | None
    high: float | None
    printed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """Entries one below the other, on one scale."""

    width: float
    height: float
    names: float
    across: tuple[Tick, ...]
    strips: tuple[Strip, ...]


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Returns round numbers between two others, at most `most` or so."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _text(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e5 else f"{value:.3g}"


def chart(metric: str, curves: Sequence[Curve], *, alike: bool, factor: float = 1.0) -> Chart:
    """Returns the curves of one metric.

    Args:
        metric: Its name.
        curves: At least one, with at least one point each.
        alike: Whether a mean and its band say something.
        factor: By which values are multiplied.
    """
    if factor != 1.0:
        curves = [
            replace(each, points=tuple((step, factor * value) for step, value in each.points))
            for each in curves
        ]
    steps = [step for curve in curves for step, _ in curve.points]
    values = sorted(value for curve in curves for _, value in curve.points)
    low, high = values[0], values[-1]
    # A few first values that are far off would press all others flat.
    near = values[min(len(values) - 1, int(0.98 * len(values)))]
    if len(values) > 20 and near > low and (high - low) > 8 * (near - low):
        high = near
    pad = (high - low) * 0.04 or abs(high) * 0.04 or 1.0
    low, high = low - pad, high + pad
    begin, end = min(steps), max(max(steps), min(steps) + 1)

    def x(step: float) -> float:
        return LEFT + (step - begin) / (end - begin) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        inner = CURVE_HEIGHT - TOP - BOTTOM
        return TOP + inner - (min(max(value, low), high) - low) / (high - low) * inner

    mean, band = _mean(curves) if alike and len(curves) > 1 else ([], [])
    upper = [f"{x(step):.1f},{y(value + spread):.1f}" for step, value, spread in band]
    lower = [f"{x(step):.1f},{y(value - spread):.1f}" for step, value, spread in reversed(band)]
    finals = [curve.points[-1][1] for curve in curves]
    return Chart(
        metric=metric,
        width=WIDTH,
        height=CURVE_HEIGHT,
        across=tuple(Tick(at=x(each), text=_text(each)) for each in ticks(begin, end) if each == int(each)),
        up=tuple(Tick(at=y(each), text=_text(each)) for each in ticks(low + pad, high - pad, 6)),
        lines=tuple(
            Line(
                points=" ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in _thin(curve.points)),
                title=f"seed {curve.seed}: {curve.points[-1][1]:.4g} at step {curve.points[-1][0]}",
            )
            for curve in curves
        ),
        mean=" ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in mean),
        band=" ".join([*upper, *lower]),
        last=f"last {min(finals):.4g}" + (f" to {max(finals):.4g}" if len(finals) > 1 else ""),
    )


def _thin(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Returns so few points that the page stays light: of each stretch its last."""
    if len(points) <= MOST_POINTS:
        return points
    size = len(points) / MOST_POINTS
    return [points[min(len(points) - 1, int((number + 1) * size) - 1)] for number in range(MOST_POINTS)]


def _mean(
    curves: Sequence[Curve],
) -> tuple[list[tuple[int, float]], list[tuple[int, float, float]]]:
    """Returns the mean over curves at the steps that all have, and the standard deviation beside it."""
    tables = [dict(curve.points) for curve in curves]
    common = [step for step, _ in _thin(curves[0].points) if all(step in each for each in tables)]
    mean: list[tuple[int, float]] = []
    band: list[tuple[int, float, float]] = []
    for step in common:
        found = [each[step] for each in tables]
        middle = sum(found) / len(found)
        spread = math.sqrt(sum((each - middle) ** 2 for each in found) / (len(found) - 1))
        mean.append((step, middle))
        band.append((step, middle, spread))
    return mean, band


def strips(found: Sequence[tuple[Place, Entry]], at: Place, factor: float = 1.0) -> Strips | None:
    """Returns entries on one scale, None where none has a value.

    Args:
        found: Entries of one row or column.
        at: The one that is looked at.
        factor: By which values are multiplied where they are told.
    """
    values = [value for _, entry in found for _, value in entry.values]
    values += [entry.estimate for _, entry in found if entry.estimate is not None]
    values += [
        entry.printed.value
        for _, entry in found
        if entry.printed is not None and entry.printed.value is not None
    ]
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return None
    low, high = min(values), max(values)
    pad = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return NAMES + (min(max(value, low), high) - low) / (high - low) * (WIDTH - NAMES - RIGHT)

    made = []
    for number, (place, entry) in enumerate(found):
        ends = entry.interval
        if ends is None and entry.estimate is not None and entry.spread is not None:
            ends = (entry.estimate - entry.spread, entry.estimate + entry.spread)
        printed = entry.printed.value if entry.printed is not None else None
        own_labels = [label for label in place.labels if label not in at.labels]
        made.append(
            Strip(
                place=place,
                entry=entry,
                name=", ".join(own_labels or place.labels[-1:]),
                own=place == at,
                y=TOP + LINE * (number + 0.5),
                dots=tuple(
                    Dot(x=x(value), title=f"seed {seed}: {factor * value:.6g}")
                    for seed, value in entry.values
                    if math.isfinite(value)
                ),
                middle=x(entry.estimate) if entry.estimate is not None else None,
                low=x(ends[0]) if ends is not None else None,
                high=x(ends[1]) if ends is not None else None,
                printed=x(printed) if printed is not None else None,
            )
        )
    return Strips(
        width=WIDTH,
        height=TOP + LINE * len(found) + BOTTOM,
        names=NAMES,
        across=tuple(
            Tick(at=x(each / factor), text=_text(each))
            for each in ticks(factor * (low + pad), factor * (high - pad))
        ),
        strips=tuple(made),
    )
