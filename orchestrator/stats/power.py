"""How many seeds a contrast needs before it is made."""

from __future__ import annotations

import math

from orchestrator.stats.compare import Alternative
from orchestrator.stats.signs import smallest_permutation_p

MOST = 10_000


def power(n: int, effect: float, *, level: float = 0.95, alternative: Alternative = "two-sided") -> float:
    """Returns the probability that a paired t test of n seeds finds an effect.

    Args:
        n: Seeds.
        effect: Mean difference in standard deviations of the difference; its sign counts when one-sided.
        level: One minus the risk of a false finding.
        alternative: As of the test.

    Source: Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2, by the
        noncentral t distribution.
    """
    if n < 2:
        return 0.0
    from scipy import special

    freedom, shift = n - 1, effect * math.sqrt(n)
    if alternative == "less":
        shift = -shift
    tail = (1 + level) / 2 if alternative == "two-sided" else level
    limit = float(special.stdtrit(freedom, tail))
    found = 1 - float(special.nctdtr(freedom, shift, limit))
    if alternative == "two-sided":
        found += float(special.nctdtr(freedom, shift, -limit))
    return min(1.0, max(0.0, found))


def seeds_for(
    effect: float,
    *,
    wanted: float = 0.8,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> int | None:
    """Returns the fewest seeds with which a paired t test finds an effect as often as wanted.

    Args:
        effect: As of `power`.
        wanted: The power, between 0 and 1.
        level: One minus the risk of a false finding; after a correction for m contrasts 1 - 0.05 / m.
        alternative: As of the test.

    Returns:
        At least 2; None when more than 10,000 would be needed.
    """
    if not 0 < wanted < 1:
        raise ValueError(f"power: got {wanted}, allowed is between 0 and 1, such as 0.8")

    def enough(n: int) -> bool:
        return power(n, effect, level=level, alternative=alternative) >= wanted

    low, high = 1, 2  # not enough; perhaps enough
    while not enough(high):
        low, high = high, 2 * high
        if low >= MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def smallest_effect(
    n: int, *, wanted: float = 0.8, level: float = 0.95, alternative: Alternative = "two-sided"
) -> float | None:
    """Returns the smallest effect that a paired t test of n seeds finds as often as wanted.

    Args:
        n: Seeds.
        wanted: The power, between 0 and 1.
        level: One minus the risk of a false finding.
        alternative: As of the test; "less" is answered as "greater".

    Returns:
        In standard deviations of the difference; None with fewer than two seeds.
    """
    if n < 2:
        return None
    side: Alternative = "greater" if alternative == "less" else alternative
    low, high = 0.0, 1.0
    while power(n, high, level=level, alternative=side) < wanted:
        low, high = high, 2 * high
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        enough = power(n, middle, level=level, alternative=side) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def seeds_to_reject(contrasts: int, *, level: float = 0.95, alternative: Alternative = "two-sided") -> int:
    """Returns the fewest seeds with which a paired permutation test can reject at all, after correction.

    Args:
        contrasts: How many are corrected for together.
        level: One minus the risk of a false finding.
        alternative: As of the test.
    """
    n = 1
    while contrasts * smallest_permutation_p(n, alternative) > 1 - level:
        n += 1
    return n
