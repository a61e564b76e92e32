"""Estimates over seeds: arrays in, numbers out.

Shapes: R = seeds. n is always the number of independent seeds, never of evaluations: what belongs to
one net (draws, lesions, members) is averaged before it comes here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.stats import resample

Array: TypeAlias = NDArray[np.float64]
LEVEL: Final = 0.95  # of printed intervals
Std: TypeAlias = Literal["sample", "population"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and its uncertainty.

    Attributes:
        value: The statistic, in the values' units; None where it is undefined (the deviation of one seed).
        spread: Standard deviation or half-width of the interval; None with one seed or where the
            statistic has none.
        interval: (low, high), or None.
        n: Number of seeds.
    """

    value: float | None
    spread: float | None = None
    interval: tuple[float, float] | None = None
    n: int


def mean(values_R: ArrayLike) -> float:
    """Returns the arithmetic mean of (R,) values."""
    return float(np.mean(_array(values_R)))


def median(values_R: ArrayLike) -> float:
    """Returns the median of (R,) values; of an even number the mean of the middle two."""
    return float(np.median(_array(values_R)))


def minimum(values_R: ArrayLike) -> float:
    """Returns the smallest of (R,) values."""
    return float(np.min(_array(values_R)))


def maximum(values_R: ArrayLike) -> float:
    """Returns the largest of (R,) values."""
    return float(np.max(_array(values_R)))


def interquartile_mean(values_R: ArrayLike) -> float:
    """Returns the mean of (R,) values without the lowest and the highest quarter.

    floor(R / 4) values go at each end, so that fewer than four seeds give the plain mean.

    Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
        section 4.
    """
    return float(_interquartile_means(_array(values_R)))


def _interquartile_means(values: Array, axis: int = -1) -> Array:
    ordered = np.moveaxis(np.sort(values, axis=axis), axis, -1)
    cut = ordered.shape[-1] // 4
    return np.asarray(np.mean(ordered[..., cut : ordered.shape[-1] - cut], axis=-1))


def _means(values: Array, axis: int = -1) -> Array:
    return np.asarray(np.mean(values, axis=axis))


def standard_deviation(values_R: ArrayLike, kind: Std = "sample") -> float | None:
    """Returns the standard deviation of (R,) values, or None where it is undefined.

    Args:
        values_R: One value a seed.
        kind: "sample" divides by R - 1 (None for one seed), "population" by R. One seed has no
            spread to speak of, so both give None for it: a printed 0 would claim certainty.
    """
    array_R = _array(values_R)
    if array_R.size < 2:
        return None
    return float(np.std(array_R, ddof=1 if kind == "sample" else 0))


def standard_error(values_R: ArrayLike) -> float | None:
    """Returns the standard error of the mean of (R,) values, None for one seed."""
    deviation = standard_deviation(values_R)
    return None if deviation is None else deviation / math.sqrt(_array(values_R).size)


def confidence_interval(
    values_R: ArrayLike, level: float = 0.95, method: Literal["t", "normal"] = "t"
) -> tuple[float, float] | None:
    """Returns the (low, high) confidence interval of the mean of (R,) values, None for one seed.

    Args:
        values_R: One value a seed.
        level: Coverage, between 0 and 1.
        method: "t" holds its level for few normal seeds; "normal" takes the sample's standard deviation
            for the true one and is too narrow for fewer than about 30 seeds.

    Raises:
        ValueError: `level` is not between 0 and 1.

    Source: Student 1908, "The Probable Error of a Mean".
    """
    if not 0 < level < 1:
        raise ValueError(f"level of an interval: got {level}, allowed is 0 < level < 1, such as 0.95")
    error = standard_error(values_R)
    if error is None:
        return None
    from scipy import special  # 0.1 s of import that most tables do not need

    tail = (1 + level) / 2
    quantile = special.stdtrit(_array(values_R).size - 1, tail) if method == "t" else special.ndtri(tail)
    centre, half = mean(values_R), float(quantile) * error
    return centre - half, centre + half


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How an interval is made.

    Attributes:
        limits: Of (values, level); None where the values are too few.
        of: What it is of, in words.
        method: How it is made, in words.
        least: Below so many seeds it is not given.
    """

    limits: Callable[[Array, float], tuple[float, float] | None]
    of: str = "mean"
    method: str = "Student's t"
    least: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What an entry prints: a statistic of (values, kind of std), and the uncertainty beside it."""

    statistic: Callable[[ArrayLike, Std], float | None]
    spread: bool = False
    interval: Interval | None = None

    @property
    def uncertain(self) -> bool:
        """Whether an uncertainty stands beside the statistic."""
        return self.spread or self.interval is not None


def _count(values_R: ArrayLike) -> float:
    return float(_array(values_R).size)


def _of(function: Callable[[ArrayLike], float]) -> Callable[[ArrayLike, Std], float]:
    return lambda values_R, std: function(values_R)


_BOOTSTRAP: Final = f"BCa bootstrap, {resample.RESAMPLES} resamples"
# The allowed texts of a table's `show`.
SHOWS: Mapping[str, Show] = {
    "mean ± std": Show(statistic=_of(mean), spread=True),
    "mean [ci95]": Show(statistic=_of(mean), interval=Interval(limits=confidence_interval)),
    "mean [bootstrap95]": Show(
        statistic=_of(mean),
        interval=Interval(
            limits=lambda values_R, level: resample.bootstrap(values_R, _means, level),
            method=_BOOTSTRAP,
            least=resample.LEAST,
        ),
    ),
    "mean": Show(statistic=_of(mean)),
    "std": Show(statistic=standard_deviation),
    "median": Show(statistic=_of(median)),
    "median [ci95]": Show(
        statistic=_of(median),
        interval=Interval(
            limits=resample.of_median, of="median", method="order statistics", least=resample.LEAST
        ),
    ),
    "iqm": Show(statistic=_of(interquartile_mean)),
    "iqm [ci95]": Show(
        statistic=_of(interquartile_mean),
        interval=Interval(
            limits=lambda values_R, level: resample.bootstrap(values_R, _interquartile_means, level),
            of="interquartile mean",
            method=_BOOTSTRAP,
            least=resample.LEAST,
        ),
    ),
    "min": Show(statistic=_of(minimum)),
    "max": Show(statistic=_of(maximum)),
    "n": Show(statistic=_of(_count)),
}


def estimate(
    values_R: ArrayLike, show: str = "mean ± std", std: Std = "sample", *, level: float = LEVEL
) -> Estimate:
    """Returns the statistic that `show` names, with its uncertainty.

    Args:
        values_R: One value a seed; at least one unless `show` is "n".
        show: A key of `SHOWS`.
        std: Kind of the standard deviation in "mean ± std" and "std".
        level: Coverage of an interval.

    Raises:
        ValueError: An unknown `show`, or no values.
    """
    if show not in SHOWS:
        raise ValueError(f"show: got {show!r}, allowed are {', '.join(map(repr, SHOWS))}")
    array_R = np.asarray(values_R, dtype=np.float64)
    chosen = SHOWS[show]
    if array_R.size == 0 and show == "n":
        return Estimate(value=0.0, n=0)
    value, n = chosen.statistic(array_R, std), int(array_R.size)
    if chosen.spread:
        return Estimate(value=value, spread=standard_deviation(array_R, std), n=n)
    if chosen.interval is not None:
        interval = None if n < chosen.interval.least else chosen.interval.limits(array_R, level)
        spread = None if interval is None else (interval[1] - interval[0]) / 2
        return Estimate(value=value, spread=spread, interval=interval, n=n)
    return Estimate(value=value, n=n)


def _array(values_R: ArrayLike) -> Array:
    array_R = np.asarray(values_R, dtype=np.float64)
    if array_R.ndim != 1 or array_R.size == 0:
        raise ValueError(f"values over seeds: got shape {array_R.shape}, allowed is (R,) with R > 0")
    return array_R
