"""Intervals that assume no normal seeds: by order statistics, and by the bootstrap.

Shapes: R = seeds. The same values give the same interval, in whatever order they come: the bootstrap's
generator is made anew for each sample, from a constant.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LEAST: Final = 20  # seeds: below, the coverage of these intervals is not what they say
RESAMPLES: Final = 9999
_SEED: Final = 20160701
_MOST_AT_ONCE: Final = 2_000_000  # resampled numbers in memory


def of_median(values_R: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Returns the interval of a median between two of the values, each as far from its end.

    It covers the median of any distribution with at least the level wanted. Too few values for that give
    the smallest and the largest.

    Args:
        values_R: One value a seed.
        level: Coverage, between 0 and 1.

    Source: Thompson 1936, "On Confidence Ranges for the Median and Other Expectation Distributions for
        Populations of Unknown Distribution Form"; Conover 1999, "Practical Nonparametric Statistics",
        section 3.2.
    """
    from scipy import special  # 0.1 s of import that most tables do not need

    ordered_R = np.sort(values_R)
    # Of fair coins for "below the median": the most values that may be left out at each end.
    chance_R = special.bdtr(np.arange(ordered_R.size), ordered_R.size, 0.5)
    left_out = max(0, int(np.searchsorted(chance_R, (1 - level) / 2, side="right")) - 1)
    return float(ordered_R[left_out]), float(ordered_R[-1 - left_out])


def bootstrap(
    values_R: NDArray[np.float64],
    statistic: Callable[..., NDArray[np.float64]],
    level: float,
    *,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Returns the BCa bootstrap interval of a statistic.

    Values that are equal to the last bits have no spread: their interval is a point. Where the
    correction is not defined, because leaving out any one seed changes nothing, the percentiles of the
    resamples stand without it.

    Args:
        values_R: One value a seed.
        statistic: Of an array along `axis`.
        level: Coverage, between 0 and 1.
        resamples: How many are drawn.

    Source: Efron 1987, "Better Bootstrap Confidence Intervals".
    """
    ordered_R = np.sort(values_R)
    if np.ptp(ordered_R) <= 1e-13 * np.abs(ordered_R).max():
        value = float(statistic(ordered_R, axis=-1))
        return value, value
    from scipy import stats  # nearly a second of import that most tables do not need

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # Told by a NaN, which is mended below.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found: Any = stats.bootstrap(
            (ordered_R,),
            statistic,
            method="BCa",
            confidence_level=level,
            n_resamples=resamples,
            batch=max(1, _MOST_AT_ONCE // ordered_R.size),
            vectorized=True,
            rng=np.random.default_rng(_SEED),
        )
    low, high = (float(end) for end in found.confidence_interval)
    if not (np.isfinite(low) and np.isfinite(high)):
        tail = (1 - level) / 2
        low, high = (float(end) for end in np.quantile(found.bootstrap_distribution, (tail, 1 - tail)))
    return low, high
