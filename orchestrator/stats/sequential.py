"""Intervals of numbers that were looked at while seeds were added, until they were sure enough."""

from __future__ import annotations

from numpy.typing import ArrayLike

from orchestrator.stats.estimate import confidence_interval


def looks(least: int, most: int, step: int = 1) -> int:
    """Returns how often a rule that adds `step` seeds at a time from `least` to `most` may look.

    Raises:
        ValueError: The numbers do not fit together.
    """
    if not 2 <= least <= most or step < 1:
        raise ValueError(f"seeds from {least} to {most} by {step}: allowed is 2 <= min <= max, step >= 1")
    return -(-(most - least) // step) + 1


def corrected_level(level: float, count: int) -> float:
    """Returns the level that each of several looks must have so that all of them together hold `level`.

    The risk is shared out equally: the true value lies in the intervals of all looks at once with at least
    the level wanted, whichever look the rule stops at. Conservative, whatever the rule is.

    Source: Bonferroni's inequality; Jennison and Turnbull 2000, "Group Sequential Methods with Applications
        to Clinical Trials", chapter 9 (repeated confidence intervals).
    """
    if count < 1:
        raise ValueError(f"looks: got {count}, allowed is at least 1")
    return 1 - (1 - level) / count


def repeated_interval(values_R: ArrayLike, *, count: int, level: float = 0.95) -> tuple[float, float] | None:
    """Returns the interval of the mean of (R,) values that a rule stopped at, None with one seed.

    Args:
        values_R: One value for each seed so far.
        count: How often the rule may look, as of `looks`.
        level: Coverage whatever the rule does.
    """
    return confidence_interval(values_R, corrected_level(level, count))
