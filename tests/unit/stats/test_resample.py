"""Intervals of medians and by the bootstrap, against scipy, hand counts and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from orchestrator.stats.estimate import LEVEL, SHOWS, estimate, interquartile_mean
from orchestrator.stats.resample import RESAMPLES, bootstrap, of_median

DATA_SETS = 2000
VALUES = np.random.default_rng(3).lognormal(size=24)


def of(show: str, values: object, level: float = LEVEL) -> tuple[float, float]:
    found = estimate(values, show, level=level).interval  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize(("n", "left_out"), [(20, 5), (21, 5), (30, 9), (50, 17), (100, 39)])
def test_the_median_lies_between_the_order_statistics_of_conovers_table(n: int, left_out: int) -> None:
    values = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert of("median [ci95]", values) == (left_out + 1, n - left_out)
    # The largest number that may be left out at each end, by the coins' own distribution.
    assert 2 * stats.binom.cdf(left_out, n, 0.5) <= 0.05 < 2 * stats.binom.cdf(left_out + 1, n, 0.5)


def test_the_interval_of_a_median_is_that_of_scipys_quantile_test() -> None:
    for level in (0.8, 0.95, 0.999):
        found = stats.quantile_test(VALUES, p=0.5).confidence_interval(level)
        assert of_median(VALUES, level) == (found.low, found.high)


def test_a_level_beyond_what_the_values_can_give_takes_all_of_them() -> None:
    assert of_median(np.array([3.0, 1.0, 2.0]), 0.99) == (1, 3)


@pytest.mark.parametrize(
    ("show", "statistic"),
    [("mean [bootstrap95]", np.mean), ("iqm [ci95]", lambda x, axis: stats.trim_mean(x, 0.25, axis=axis))],
)
def test_the_bootstrap_is_scipys(show: str, statistic: object) -> None:
    for level, share in ((0.9, 0.05), (0.95, 0.06), (0.99, 0.15)):
        theirs = stats.bootstrap(
            (VALUES,), statistic, confidence_level=level, n_resamples=99_999, rng=np.random.default_rng(8)
        ).confidence_interval
        # Two draws of resamples differ by a few hundredths of the interval's width, far out by more.
        close = share * (theirs.high - theirs.low)
        assert of(show, VALUES, level) == pytest.approx(tuple(theirs), abs=close)


def test_bca_of_a_mean_by_hand() -> None:
    values = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 9.0])
    indices = np.random.default_rng(20160701).integers(0, 6, (RESAMPLES, 6))
    means = values[indices].mean(axis=1)
    z0 = stats.norm.ppf(((means < values.mean()).sum() + 0.5 * (means == values.mean()).sum()) / RESAMPLES)
    left_out = np.array([np.delete(values, each).mean() for each in range(6)])
    apart = left_out.mean() - left_out
    a = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    ends = [stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in stats.norm.ppf([0.025, 0.975])]
    assert bootstrap(values, np.mean, 0.95) == pytest.approx(np.quantile(means, ends), abs=0.05)


@pytest.mark.parametrize("show", [name for name, show in SHOWS.items() if show.interval])
def test_intervals_depend_on_the_values_alone(show: str) -> None:
    first = of(show, VALUES)
    assert of(show, VALUES) == first
    assert of(show, VALUES[::-1]) == pytest.approx(first, rel=1e-15)
    low, high = of(show, VALUES * 100 + 7)
    assert (low, high) == pytest.approx((first[0] * 100 + 7, first[1] * 100 + 7))
    wider = of(show, VALUES, 0.99)
    assert wider[0] < first[0] < first[1] < wider[1]


@pytest.mark.parametrize("show", [name for name, show in SHOWS.items() if show.interval])
def test_samples_without_spread_have_a_point(show: str) -> None:
    assert of(show, [0.1] * 20) == pytest.approx((0.1, 0.1))
    assert of(show, [0.0] * 20) == (0, 0)
    nearly = [0.1 + 0.2, 0.3] * 10  # equal but for the last bit
    assert of(show, nearly) == pytest.approx((0.3, 0.3))


def test_where_leaving_out_any_seed_changes_nothing_the_percentiles_stand() -> None:
    values = [0.1] * 18 + [0.2, 0.5]
    assert interquartile_mean(values) == pytest.approx(0.1)
    assert of("iqm [ci95]", values) == pytest.approx((0.1, 0.1))
    values = [0.1] * 13 + [0.5] * 7  # a quarter more of the large ones would reach the middle
    low, high = of("iqm [ci95]", values)
    assert math.isfinite(low)
    assert low <= interquartile_mean(values) <= high


@pytest.mark.parametrize("show", ["median [ci95]", "iqm [ci95]", "mean [bootstrap95]"])
def test_fewer_than_twenty_seeds_have_none(show: str) -> None:
    found = estimate(VALUES[:19], show)
    assert (found.interval, found.spread, found.n) == (None, None, 19)
    assert found.value == estimate(VALUES[:19], show.split(" [")[0]).value
    assert estimate(VALUES[:20], show).interval is not None


# --- coverage: docs/statistics.md has the table of benchmarks.coverage, of more resamples --------------


@pytest.mark.parametrize(("n", "expected"), [(20, 0.9586), (50, 0.9672)])
@pytest.mark.parametrize("name", ["normal", "lognormal", "standard_cauchy"])
def test_the_medians_interval_covers_any_distribution_alike(name: str, n: int, expected: float) -> None:
    samples = getattr(np.random.default_rng(n), name)(size=(DATA_SETS, n))
    centre = 1.0 if name == "lognormal" else 0.0
    limits = np.array([of_median(values, 0.95) for values in samples])
    covered = np.mean((limits[:, 0] <= centre) & (centre <= limits[:, 1]))
    assert covered == pytest.approx(expected, abs=4 * math.sqrt(0.05 / DATA_SETS))


@pytest.mark.parametrize("show", ["iqm [ci95]", "mean [bootstrap95]"])
def test_the_bootstrap_of_twenty_normal_seeds_is_a_little_short(show: str) -> None:
    samples = np.random.default_rng(4).normal(0.07, 0.003, (300, 20))
    limits = [of(show, values) for values in samples]
    # 92 to 93 of 100, within four standard errors of so few data sets.
    assert 0.87 <= np.mean([low <= 0.07 <= high for low, high in limits]) <= 0.975
