"""Whether values of one's own agree with a printed number: closeness needs evidence, and so does distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Verdict: TypeAlias = Literal["reproduced", "not reproduced", "unclear"]

LEVEL: Final = 0.90  # of the interval: 5 % at each end, as two one-sided tests at 5 % have
MARGIN: Final = 2.0  # printed standard deviations, where the study declares no margin


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far a mean is from a printed one.

    Attributes:
        difference: Ours minus the printed one, in the values' units.
        interval: Of coverage `LEVEL`; None with one seed.
        margin: Within which the two count as the same; None where nothing says.
        verdict: What follows.
    """

    difference: float
    interval: tuple[float, float] | None
    margin: float | None
    verdict: Verdict


def agreement(
    values_R: ArrayLike,
    printed: float,
    *,
    std: float | None = None,
    n: int | None = None,
    ddof: int | None = None,
    margin: float | None = None,
    level: float = LEVEL,
) -> Agreement:
    """Returns how far the mean of (R,) values is from a printed mean, and what follows.

    Reproduced: the whole interval of the difference lies within the margin. Not reproduced: the
    difference is larger than the margin, and its interval excludes zero. Unclear: anything else.
    With the printed std and n the interval is Welch's, from the summaries. An n that is not printed
    counts as one run, which is the least it can be; for a std that is not printed our own stands, since
    the spread of runs belongs to the recipe.

    Args:
        values_R: One value a seed.
        printed: The printed mean.
        std: Its printed standard deviation.
        n: Of how many runs.
        ddof: What the printed std divides by: n - ddof; taken as 1 where it is not known.
        margin: As declared; otherwise `MARGIN` printed standard deviations. Where none is printed either,
            as many of our own can speak against a reproduction, but never for one: a noisy study would
            reproduce everything.
        level: Coverage of the interval.

    Source: Welch 1947; Schuirmann 1987 for closeness as an interval within a margin.
    """
    array_R = np.asarray(values_R, dtype=np.float64)
    if array_R.ndim != 1 or not array_R.size:
        raise ValueError(f"values over seeds: got shape {array_R.shape}, allowed is (R,) with R > 0")
    count, runs = array_R.size, n or 1
    difference = float(array_R.mean()) - printed
    sample = None if std is None else std * math.sqrt(runs / (runs - _ddof(ddof, runs)))
    if margin is None and sample:
        margin = MARGIN * sample
    if count < 2:
        return Agreement(difference=difference, interval=None, margin=margin, verdict="unclear")
    own = float(array_R.std(ddof=1))
    ours, theirs = own**2 / count, (own if sample is None else sample) ** 2 / runs
    freedom = float(count - 1)
    if sample is not None and runs > 1 and ours + theirs:
        freedom = (ours + theirs) ** 2 / (ours**2 / (count - 1) + theirs**2 / (runs - 1))
    from scipy import special  # 0.1 s of import that most tables do not need

    half = float(special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt(ours + theirs)
    far = margin if margin is not None else MARGIN * own
    verdict: Verdict = "unclear"
    if margin is not None and abs(difference) + half <= margin:
        verdict = "reproduced"
    elif abs(difference) > max(far, half):
        verdict = "not reproduced"
    interval = (difference - half, difference + half)
    return Agreement(difference=difference, interval=interval, margin=margin, verdict=verdict)


def _ddof(ddof: int | None, runs: int) -> int:
    """Returns by how much to convert: a std of n - 1 is one of a sample already."""
    return 1 if ddof == 0 and runs > 1 else 0
