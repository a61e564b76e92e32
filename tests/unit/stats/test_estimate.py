"""Estimates against numpy, scipy and the standard library's statistics."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from orchestrator.stats.estimate import (
    SHOWS,
    confidence_interval,
    estimate,
    interquartile_mean,
    maximum,
    mean,
    median,
    minimum,
    standard_deviation,
    standard_error,
)

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_simple_statistics_agree_with_the_standard_library(values):
    close = {"rel": 1e-9, "abs": 1e-6}
    assert mean(values) == pytest.approx(statistics.fmean(values), **close)
    assert median(values) == pytest.approx(statistics.median(values), **close)
    assert (minimum(values), maximum(values)) == (min(values), max(values))
    assert standard_deviation(values) == pytest.approx(statistics.stdev(values), **close)
    assert standard_deviation(values, "population") == pytest.approx(statistics.pstdev(values), **close)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25), **close)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_intervals_agree_with_scipy(values):
    error = float(stats.sem(values))
    if error == 0:
        assert confidence_interval(values) == pytest.approx((mean(values), mean(values)))
        return
    for level in (0.5, 0.95, 0.99):
        student = stats.t.interval(level, df=len(values) - 1, loc=np.mean(values), scale=error)
        assert confidence_interval(values, level) == pytest.approx(student, rel=1e-9, abs=1e-6)
        normal = stats.norm.interval(level, loc=np.mean(values), scale=error)
        assert confidence_interval(values, level, "normal") == pytest.approx(normal, rel=1e-9, abs=1e-6)


def test_hand_counted():
    values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]  # squared deviations from 5 sum to 32
    assert standard_deviation(values, "population") == 2.0
    assert standard_deviation(values) == pytest.approx(math.sqrt(32 / 7))
    assert standard_error(values) == pytest.approx(math.sqrt(32 / 7 / 8))
    assert interquartile_mean(values) == 4.5  # 4, 4, 5, 5
    # Student's table: 2.3646 for seven degrees of freedom
    half = 2.364624 * math.sqrt(32 / 7 / 8)
    assert confidence_interval(values) == pytest.approx((5 - half, 5 + half), abs=1e-5)


def test_one_seed_has_no_uncertainty():
    for show in ("mean ± std", "mean [ci95]"):
        found = estimate([0.25], show)
        assert (found.value, found.spread, found.interval, found.n) == (0.25, None, None, 1)
    assert standard_deviation([0.25], "population") is None
    assert estimate([0.25], "std").value is None


def test_shows_choose_statistic_and_uncertainty():
    values = [1.0, 2.0, 6.0, 9.0]
    assert estimate(values).spread == pytest.approx(statistics.stdev(values))
    assert estimate(values, std="population").spread == pytest.approx(statistics.pstdev(values))
    interval = estimate(values, "mean [ci95]")
    assert interval.interval is not None
    assert interval.spread == pytest.approx((interval.interval[1] - interval.interval[0]) / 2)
    expected = {"mean": 4.5, "median": 4.0, "iqm": 4.0, "min": 1.0, "max": 9.0, "n": 4.0}
    assert {show: estimate(values, show).value for show in expected} == expected
    assert all(estimate(values, show).n == 4 for show in SHOWS)
    assert estimate([], "n").value == 0
    assert estimate(values, "std").value == pytest.approx(statistics.stdev(values))
    assert estimate(values, "std", "population").value == pytest.approx(statistics.pstdev(values))


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95.0, math.nan])
def test_levels_beyond_a_probability_are_refused(level):
    with pytest.raises(ValueError, match="allowed is 0 < level < 1"):
        confidence_interval([1.0, 2.0], level)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="'mean ± std'"):
        estimate([1.0], "average")
    for values in ([], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match=r"\(R,\)"):
            mean(values)


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_the_95_interval_covers_the_mean_in_95_of_100_studies(seeds):
    studies = 4000
    samples = np.random.default_rng(20160701).normal(0.07, 0.003, (studies, seeds))
    covered = {"t": 0, "normal": 0}
    for method in ("t", "normal"):
        for values in samples:
            interval = confidence_interval(values, 0.95, method)
            assert interval is not None
            covered[method] += interval[0] <= 0.07 <= interval[1]
    four_errors = 4 * math.sqrt(0.95 * 0.05 / studies)
    assert covered["t"] / studies == pytest.approx(0.95, abs=four_errors)
    assert 0.93 <= covered["t"] / studies <= 0.97
    # The normal interval is known to be too narrow for few seeds: the test can tell them apart.
    if seeds < 20:
        assert covered["normal"] / studies < 0.95 - four_errors
