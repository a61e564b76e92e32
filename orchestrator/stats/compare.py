"""Contrasts: how different, how sure.

Shapes: R = seeds, K = groups or contrasts. Seeds are blocks: the same ones in every group, so that a contrast
is taken within each seed first and what all groups of a seed share drops out. n is the number of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from orchestrator.stats.estimate import Array
from orchestrator.stats.signs import permutation_p

Alternative: TypeAlias = Literal["two-sided", "less", "greater"]
Test: TypeAlias = Literal["t", "permutation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A difference and how sure it is.

    Attributes:
        difference: Mean of the contrast over seeds, in the values' units.
        interval: (low, high) of it; of a one-sided test one end is infinite. None with one seed.
        p: Probability of a difference as large by chance, not corrected; None with one seed.
        effect: Difference in standard deviations of the contrast (paired) or of a seed (Welch), corrected
            for few seeds; None with one seed or without spread.
        n: Seeds; of an unpaired contrast of the smaller group.
        freedom: Degrees of freedom of the t distribution; None where none is used.
    """

    difference: float
    interval: tuple[float, float] | None
    p: float | None
    effect: float | None
    n: int
    freedom: float | None = None


def weighted(
    values_RK: ArrayLike,
    weights_K: ArrayLike,
    *,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> Contrast:
    """Returns the contrast sum_k weights_k values_rk, its t test and interval over seeds.

    Weights (1, -1) are a paired difference, (-1, 0, 1) a linear trend over three ordered levels,
    (1, -1, -1, 1) the interaction of two factors of two levels each.

    Args:
        values_RK: One value for each seed and group.
        weights_K: Their weights, which must sum to zero.
        level: Coverage of the interval, between 0 and 1.
        alternative: Against which the hypothesis of no difference stands.

    Raises:
        ValueError: Shapes that do not fit, weights that do not sum to zero.

    Source: Student 1908, "The Probable Error of a Mean"; Maxwell and Delaney, "Designing Experiments and
        Analyzing Data", chapters 4 and 11 (contrasts within subjects with an error term of their own).
    """
    array_RK = np.asarray(values_RK, dtype=np.float64)
    array_K = np.asarray(weights_K, dtype=np.float64)
    if array_RK.ndim != 2 or array_RK.shape[1:] != array_K.shape or array_RK.shape[0] == 0:
        raise ValueError(
            f"values and weights of a contrast: got shapes {array_RK.shape} and {array_K.shape}, allowed are "
            "(R, K) and (K,)"
        )
    if abs(array_K.sum()) > 1e-9 * np.abs(array_K).sum():
        raise ValueError(f"weights of a contrast sum to zero, got {array_K.tolist()}")
    contrasts_R = array_RK @ array_K
    # Equal differences of unequal numbers differ in their last bits, which is no spread.
    if np.ptp(contrasts_R) <= 1e-13 * np.abs(array_RK).max():
        contrasts_R[:] = contrasts_R[0]
    n = contrasts_R.size
    difference = float(contrasts_R.mean())
    if n < 2:
        return Contrast(difference=difference, interval=None, p=None, effect=None, n=n)
    deviation = float(contrasts_R.std(ddof=1))
    interval, p = _t_test(contrasts_R, level, alternative)
    # Hedges' correction: the plain ratio is too large for few seeds.
    effect = difference / deviation * _few(n - 1) if deviation else None
    return Contrast(difference=difference, interval=interval, p=p, effect=effect, n=n, freedom=n - 1)


def paired(
    values_R: ArrayLike,
    others_R: ArrayLike,
    *,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    test: Test = "t",
) -> Contrast:
    """Returns how much larger the values are than the others of the same seeds (see `weighted`).

    By a permutation test p is that of `permutation_p`; the interval is Student's in either case.
    """
    one_R, other_R = _two(values_R, others_R)
    both_RK = np.stack([one_R, other_R], axis=1)
    found = weighted(both_RK, (1.0, -1.0), level=level, alternative=alternative)
    if test == "t" or found.p is None:
        return found
    return replace(found, p=permutation_p(one_R - other_R, alternative=alternative))


def welch(
    values_R: ArrayLike,
    others_S: ArrayLike,
    *,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> Contrast:
    """Returns how much larger the values are than the others, of groups that share no seeds.

    Args:
        values_R: One value a seed.
        others_S: Likewise, of other seeds.
        level: Coverage of the interval.
        alternative: Against which the hypothesis of no difference stands.

    Source: Welch 1947, "The generalization of 'Student's' problem when several different population variances
        are involved"; Hedges 1981 for the effect.
    """
    one_R, other_S = (np.asarray(each, dtype=np.float64) for each in (values_R, others_S))
    if one_R.ndim != 1 or other_S.ndim != 1 or not one_R.size or not other_S.size:
        raise ValueError(
            f"values of a contrast: got shapes {one_R.shape} and {other_S.shape}, allowed is (R,)"
        )
    n = min(one_R.size, other_S.size)
    difference = float(one_R.mean() - other_S.mean())
    if n < 2:
        return Contrast(difference=difference, interval=None, p=None, effect=None, n=n)
    from scipy import stats  # nearly a second of import that most commands do not need

    variances = [float(each.var(ddof=1)) for each in (one_R, other_S)]
    freedom: float = one_R.size + other_S.size - 2
    if any(variances):
        found = stats.ttest_ind(one_R, other_S, equal_var=False, alternative=alternative)
        low, high = found.confidence_interval(_checked(level))
        interval, p, freedom = (float(low), float(high)), float(found.pvalue), float(found.df)
    else:
        interval, p = _without_spread(difference, alternative)
    pooled = math.sqrt(sum(variances) / 2)
    effect = difference / pooled * _few(one_R.size + other_S.size - 2) if pooled else None
    return Contrast(difference=difference, interval=interval, p=p, effect=effect, n=n, freedom=freedom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Whether a difference lies within a margin.

    Attributes:
        difference: As of a contrast.
        interval: Its interval of coverage 1 - 2 (1 - level): by t tests within the margin exactly when
            p < 1 - level.
        p: The larger p of the two one-sided tests; None with one seed.
        n: Seeds.
    """

    difference: float
    interval: tuple[float, float] | None
    p: float | None
    n: int


def equivalent(
    values_RK: ArrayLike, weights_K: ArrayLike, *, margin: float, level: float = 0.95, test: Test = "t"
) -> Equivalence:
    """Returns whether a contrast lies within plus or minus a margin, by two one-sided tests.

    That a difference is not significant shows nothing about equality; this does.

    Args:
        values_RK: One value for each seed and group.
        weights_K: As of `weighted`.
        margin: In the values' units, above 0.
        level: One minus the risk of calling different ones equal.
        test: Which two one-sided tests.

    Source: Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for
        assessing the equivalence of average bioavailability".
    """
    if not margin > 0:
        raise ValueError(f"margin of an equivalence: got {margin}, allowed is above 0")
    whole = weighted(values_RK, weights_K, level=1 - 2 * (1 - level))
    if whole.p is None:
        return Equivalence(difference=whole.difference, interval=None, p=None, n=whole.n)
    contrasts_R = np.asarray(values_RK, dtype=np.float64) @ np.asarray(weights_K, dtype=np.float64)
    if test == "permutation":
        above = permutation_p(contrasts_R + margin, alternative="greater")
        below = permutation_p(contrasts_R - margin, alternative="less")
    else:
        above = _t_test(contrasts_R + margin, level, "greater")[1]
        below = _t_test(contrasts_R - margin, level, "less")[1]
    return Equivalence(difference=whole.difference, interval=whole.interval, p=max(above, below), n=whole.n)


def holm(p_K: Sequence[float]) -> list[float]:
    """Returns p values corrected for their number, so that the risk of any false finding stays at its level.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    order = sorted(range(len(p_K)), key=lambda k: p_K[k])
    corrected = [0.0] * len(p_K)
    largest = 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p_K) - rank) * p_K[k]))
        corrected[k] = largest
    return corrected


def _t_test(contrasts_R: Array, level: float, alternative: Alternative) -> tuple[tuple[float, float], float]:
    """Returns the interval of the mean of two or more contrasts and the p of its being zero."""
    from scipy import stats

    if not np.ptp(contrasts_R):
        return _without_spread(float(contrasts_R[0]), alternative)
    found = stats.ttest_1samp(contrasts_R, 0.0, alternative=alternative)
    low, high = found.confidence_interval(_checked(level))
    return (float(low), float(high)), float(found.pvalue)


def _without_spread(difference: float, alternative: Alternative) -> tuple[tuple[float, float], float]:
    """Returns interval and p when all seeds agree to the last bit, as where nothing is random."""
    if alternative == "two-sided":
        return (difference, difference), float(difference == 0)
    if alternative == "less":
        return (-math.inf, difference), float(difference >= 0)
    return (difference, math.inf), float(difference <= 0)


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level of an interval: got {level}, allowed is 0 < level < 1, such as 0.95")
    return level


def _few(freedom: float) -> float:
    """Returns Hedges' factor for an effect in standard deviations that were estimated with few seeds."""
    return 1 - 3 / (4 * freedom - 1)


def _two(values_R: ArrayLike, others_R: ArrayLike) -> tuple[Array, Array]:
    one_R, other_R = (np.asarray(each, dtype=np.float64) for each in (values_R, others_R))
    if one_R.ndim != 1 or one_R.shape != other_R.shape or not one_R.size:
        raise ValueError(
            f"values of a paired contrast: got shapes {one_R.shape}, {other_R.shape}; allowed is twice (R,)"
        )
    return one_R, other_R
