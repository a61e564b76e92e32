"""The paired permutation test: under no difference the sign of each seed's difference is a coin's.

Shapes: R = seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from orchestrator.stats.compare import Alternative

EXACT: Final = 30  # seeds up to which every combination of signs is counted
RESAMPLES: Final = 99_999  # combinations that are drawn beyond
_SEED: Final = 20160701
_TIES: Final = 1e-12  # sums that differ by less, relative to the differences, are equal but for rounding


def permutation_p(differences_R: ArrayLike, *, alternative: Alternative = "two-sided") -> float:
    """Returns the p of the mean of (R,) differences by flipping their signs.

    Up to 30 seeds all 2^R combinations are counted, which is exact: those of either half of the seeds are
    listed, and sorted sums tell how many pairs reach the observed one. Beyond, 99,999 are drawn by a
    generator of a fixed seed, and the observed one counts as one of them.

    Args:
        differences_R: One difference a seed.
        alternative: Against which the hypothesis of no difference stands.

    Source: Fisher 1935, "The Design of Experiments", section 21; Phipson and Smyth 2010, "Permutation
        P-values Should Never Be Zero"; Pagano and Tritchler 1983, "On Obtaining Permutation Distributions in
        Polynomial Time", for sums by halves.
    """
    array_R = np.asarray(differences_R, dtype=np.float64)
    if array_R.ndim != 1 or not array_R.size:
        raise ValueError(f"differences of seeds: got shape {array_R.shape}, allowed is (R,) with R > 0")
    if alternative == "two-sided":
        return min(1.0, 2 * min(_at_least(array_R), _at_least(-array_R)))
    return _at_least(array_R if alternative == "greater" else -array_R)


def smallest_permutation_p(n: int, alternative: Alternative = "two-sided") -> float:
    """Returns the smallest p that a paired permutation test of n seeds can give."""
    one_sided = 2.0**-n if n <= EXACT else 1 / (1 + RESAMPLES)
    return one_sided if alternative != "two-sided" else min(1.0, 2 * one_sided)


def _at_least(differences_R: NDArray[np.float64]) -> float:
    """Returns the share of combinations of signs whose sum is at least the observed one."""
    n = differences_R.size
    reached = differences_R.sum() - _TIES * np.abs(differences_R).sum()
    if n > EXACT:
        signs = np.random.default_rng(_SEED).integers(0, 2, (RESAMPLES, n), dtype=np.int8)
        found = int(np.count_nonzero((2.0 * signs - 1) @ differences_R >= reached))
        return (1 + found) / (1 + RESAMPLES)
    one, other = _sums(differences_R[: n // 2]), np.sort(_sums(differences_R[n // 2 :]))
    below = np.searchsorted(other, reached - one, side="left")
    return float((other.size - below).sum()) / 2.0**n


def _sums(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the sums of all combinations of signs."""
    sums = np.zeros(1)
    for each in differences:
        sums = np.concatenate([sums + each, sums - each])
    return sums
