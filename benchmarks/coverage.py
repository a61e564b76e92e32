"""How often the intervals of tables hold the true value: simulated studies of known distributions.

    python -m benchmarks.coverage [--sets 2000] [--seeds 20,50]

Each line is one kind of interval at one number of seeds, with the share of the data sets whose interval
holds the true mean, median or interquartile mean. What came out is in docs/statistics.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.stats.estimate import LEVEL, SHOWS, Array
from orchestrator.stats.resample import bootstrap

Limits = Callable[[Array, float], tuple[float, float] | None]
_SETS: Final = 2000


def _interquartile_mean(distribution: object) -> float:
    low, high = distribution.ppf([0.25, 0.75])  # type: ignore[attr-defined]
    return float(distribution.expect(lambda x: x, lb=low, ub=high) / 0.5)  # type: ignore[attr-defined]


DISTRIBUTIONS: Final[Mapping[str, object]] = {
    "normal": stats.norm(),
    "lognormal": stats.lognorm(1.0),
    "t3": stats.t(3),
}


def _medians(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return np.asarray(np.median(values, axis=axis))


def kinds() -> dict[str, tuple[str, Limits]]:
    """Returns name -> (what it is of, how it is made); the last is what tables do not offer."""
    offered = {name: show.interval for name, show in SHOWS.items() if show.interval is not None}
    found: dict[str, tuple[str, Limits]] = {name: (each.of, each.limits) for name, each in offered.items()}
    found["(median by BCa)"] = ("median", lambda values, level: bootstrap(values, _medians, level))
    return found


def coverage(limits: Limits, of: str, distribution: object, *, n: int, sets: int) -> float:
    """Returns the share of data sets whose interval holds the true value."""
    true = {
        "mean": lambda: float(distribution.mean()),  # type: ignore[attr-defined]
        "median": lambda: float(distribution.median()),  # type: ignore[attr-defined]
        "interquartile mean": lambda: _interquartile_mean(distribution),
    }[of]()
    samples = distribution.rvs((sets, n), random_state=np.random.default_rng(n))  # type: ignore[attr-defined]
    found = [limits(values, LEVEL) for values in samples]
    return float(np.mean([each is not None and each[0] <= true <= each[1] for each in found]))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=_SETS, help="data sets of each kind")
    parser.add_argument("--seeds", default="20,50", help="numbers of seeds")
    arguments = parser.parse_args()
    error = 100 * math.sqrt(LEVEL * (1 - LEVEL) / arguments.sets)
    print(f"{arguments.sets} data sets, a standard error of {error:.1f} points")
    print("| interval | seeds |", " | ".join(DISTRIBUTIONS), "|", flush=True)
    for name, (of, limits) in kinds().items():
        for n in map(int, arguments.seeds.split(",")):
            shares = [
                f"{100 * coverage(limits, of, each, n=n, sets=arguments.sets):.1f}"
                for each in DISTRIBUTIONS.values()
            ]
            print(f"| {name} | {n} |", " | ".join(shares), "|", flush=True)


if __name__ == "__main__":
    main()
