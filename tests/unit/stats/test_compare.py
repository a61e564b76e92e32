"""Contrasts against scipy, statsmodels and hand computations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from orchestrator.stats.compare import (
    equivalent,
    holm,
    paired,
    weighted,
    welch,
)
from orchestrator.stats.power import power, seeds_for, seeds_to_reject, smallest_effect
from orchestrator.stats.sequential import corrected_level, looks, repeated_interval
from orchestrator.stats.signs import permutation_p, smallest_permutation_p

A_R = np.array([7.1, 6.9, 7.4, 7.2, 6.8])
B_R = np.array([7.9, 7.2, 7.5, 8.1, 7.4])


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_a_paired_contrast_is_statsmodels(alternative: str, level: float) -> None:
    found = paired(A_R, B_R, level=level, alternative=alternative)
    words = {"two-sided": "two-sided", "less": "smaller", "greater": "larger"}
    differences = DescrStatsW(A_R - B_R)
    _, p, freedom = differences.ttest_mean(0, words[alternative])
    assert found.p == pytest.approx(p, rel=1e-12)
    assert found.interval == pytest.approx(
        differences.tconfint_mean(1 - level, words[alternative]), rel=1e-12
    )
    assert (found.n, found.freedom) == (5, freedom)
    assert found.difference == pytest.approx(-0.54)


def test_an_effect_by_hand() -> None:
    differences = A_R - B_R
    plain = differences.mean() / math.sqrt(((differences - differences.mean()) ** 2).sum() / 4)
    assert paired(A_R, B_R).effect == pytest.approx(plain * (1 - 3 / 15))


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_unpaired_groups_are_welchs(alternative: str) -> None:
    found = welch(A_R, B_R[:4], alternative=alternative)
    # By hand, from Welch's formulas.
    parts = A_R.var(ddof=1) / 5, B_R[:4].var(ddof=1) / 4
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 3)
    t = (A_R.mean() - B_R[:4].mean()) / math.sqrt(sum(parts))
    p = {
        "two-sided": 2 * stats.t.sf(abs(t), freedom),
        "less": stats.t.cdf(t, freedom),
        "greater": stats.t.sf(t, freedom),
    }[alternative]
    assert (found.freedom, found.p) == (pytest.approx(freedom), pytest.approx(p))
    if alternative == "two-sided":
        half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
        assert found.interval == pytest.approx((found.difference - half, found.difference + half))


def test_a_trend_and_an_interaction_are_contrasts_of_each_seed() -> None:
    generator = np.random.default_rng(0)
    values_RK = generator.normal(size=(6, 4))
    trend = weighted(values_RK[:, :3], (-1, 0, 1))
    assert trend == paired(values_RK[:, 2], values_RK[:, 0])
    interaction = weighted(values_RK, (1, -1, -1, 1))
    by_hand = (values_RK[:, 0] - values_RK[:, 1]) - (values_RK[:, 2] - values_RK[:, 3])
    assert interaction.p == pytest.approx(stats.ttest_1samp(by_hand, 0).pvalue)
    with pytest.raises(ValueError, match="sum to zero"):
        weighted(values_RK, (1, 1, -1, 0))
    with pytest.raises(ValueError, match="shapes"):
        weighted(values_RK, (1, -1))


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_a_permutation_test_counts_all_signs(alternative: str) -> None:
    differences = A_R - B_R
    means = [np.mean(differences * signs) for signs in itertools.product((-1, 1), repeat=5)]
    observed, tiny = differences.mean(), 1e-9
    as_large = {
        "two-sided": [abs(mean) >= abs(observed) - tiny for mean in means],
        "less": [mean <= observed + tiny for mean in means],
        "greater": [mean >= observed - tiny for mean in means],
    }[alternative]
    assert permutation_p(differences, alternative=alternative) == pytest.approx(np.mean(as_large))


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
@pytest.mark.parametrize("n", [2, 3, 7, 13])
def test_a_permutation_test_is_scipys(n: int, alternative: str) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1.0, n).round(1)  # with ties
    found = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=alternative
    )
    assert permutation_p(differences, alternative=alternative) == pytest.approx(found.pvalue)


def test_sums_that_are_equal_but_for_rounding_count_as_reached() -> None:
    # 0.3 - 0.1 and 0.1 + 0.1 differ in the last bit: of the eight sums 5, 3, 3 (-1 ...) in tenths
    assert permutation_p([0.1, 0.1, 0.3], alternative="greater") == 1 / 8
    assert permutation_p([0.1, -0.1, 0.3], alternative="greater") == 3 / 8
    assert permutation_p([0.0, 0.0]) == 1.0


def test_a_large_permutation_test_draws_and_never_says_zero() -> None:
    few, many = (np.random.default_rng(1).normal(0.5, 1.0, n) for n in (30, 31))
    assert permutation_p(few, alternative="greater") != permutation_p(many, alternative="greater")
    assert permutation_p(many) == permutation_p(many)
    assert permutation_p(many + 9) == pytest.approx(2 / 100_000)
    assert permutation_p(few + 9) == 2.0**-29
    assert permutation_p(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, rel=0.3)
    assert (smallest_permutation_p(30), smallest_permutation_p(31)) == (2.0**-29, 2 / 100_000)
    assert smallest_permutation_p(5) == 2 / 32
    assert smallest_permutation_p(5, "less") == 1 / 32


@pytest.mark.parametrize("margin", [0.2, 0.6, 1.5])
def test_equivalence_is_two_one_sided_tests(margin: float) -> None:
    found = equivalent(np.stack([A_R, B_R], axis=1), (1, -1), margin=margin)
    p, _, _ = ttost_paired(A_R, B_R, -margin, margin)
    assert found.p == pytest.approx(p)
    low, high = found.interval or (0.0, 0.0)
    assert (found.p < 0.05) == (-margin < low and high < margin)


def test_holm_is_statsmodels() -> None:
    generator = np.random.default_rng(2)
    for count in (1, 2, 5, 20):
        p_K = generator.uniform(size=count) ** 3
        assert holm(list(p_K)) == pytest.approx(multipletests(p_K, method="holm")[1])
    assert holm([]) == []


def test_seeds_that_agree_to_the_last_bit() -> None:
    same = paired([1.0, 2.0], [1.0, 2.0])
    assert (same.p, same.interval, same.effect) == (1.0, (0.0, 0.0), None)
    apart = paired([2.0, 3.0], [1.0, 2.0])
    assert (apart.p, apart.interval) == (0.0, (1.0, 1.0))
    assert paired([2.0, 3.0], [1.0, 2.0], alternative="less").p == 1.0
    assert welch([2.0, 2.0], [1.0, 1.0]).p == 0.0
    assert equivalent([[1.0, 1.0], [2.0, 2.0]], (1, -1), margin=0.1).p == 0.0


def test_one_seed_shows_nothing() -> None:
    alone = paired([1.0], [2.0])
    assert (alone.difference, alone.p, alone.interval, alone.n) == (-1.0, None, None, 1)
    assert welch([1.0], [2.0, 3.0]).p is None
    assert equivalent([[1.0, 2.0]], (1, -1), margin=1).p is None


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40, 200])
@pytest.mark.parametrize("effect", [0.2, 0.8, 2.0])
def test_power_is_statsmodels(n: int, effect: float) -> None:
    expected = TTestPower().power(effect, n, 0.05, alternative="two-sided")
    assert power(n, effect) == pytest.approx(expected, abs=1e-6)


def test_the_fewest_seeds() -> None:
    assert seeds_for(0.5) == 34  # Cohen 1988
    assert power(34, 0.5) >= 0.8 > power(33, 0.5)
    assert power(seeds_for(1.0, level=1 - 0.05 / 8) or 0, 1.0, level=1 - 0.05 / 8) >= 0.8
    assert seeds_for(0.5, alternative="greater") == 27
    assert seeds_for(1e-4) is None
    assert seeds_to_reject(1) == 6
    assert seeds_to_reject(8) == 9


@pytest.mark.parametrize("n", [2, 3, 10, 50])
def test_the_smallest_effect_is_found_as_often_as_wanted(n: int) -> None:
    effect = smallest_effect(n, alternative="less") or 0.0
    assert power(n, effect, alternative="greater") >= 0.8
    assert power(n, 0.98 * effect, alternative="greater") < 0.8
    assert smallest_effect(1) is None


def test_power_in_simulation() -> None:
    generator = np.random.default_rng(3)
    n, effect = 6, 1.2
    differences = generator.normal(effect, 1.0, size=(4000, n))
    found = stats.ttest_1samp(differences, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(power(n, effect), abs=0.025)


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_intervals_of_paired_contrasts_cover_what_they_say(n: int) -> None:
    generator = np.random.default_rng(n)
    covered = 0
    for _ in range(2000):
        block = generator.normal(0.0, 2.0, size=n)  # what the groups of a seed share
        one, other = block + generator.normal(0.3, 1.0, size=n), block + generator.normal(0.0, 0.5, size=n)
        low, high = paired(one, other).interval or (0.0, 0.0)
        covered += low <= 0.3 <= high
    assert 0.93 <= covered / 2000 <= 0.97


def test_an_interval_holds_its_level_although_a_rule_stopped_at_it() -> None:
    """Stop when the interval is narrow: the plain one covers too seldom then, the repeated one does not."""
    generator = np.random.default_rng(4)
    least, most, wanted, runs = 3, 12, 0.5, 1500
    plain = repeated = 0
    for _ in range(runs):
        values = generator.normal(0.0, 1.0, size=most)
        for n in range(least, most + 1):
            low, high = repeated_interval(values[:n], count=looks(least, most)) or (0.0, 0.0)
            if (high - low) / 2 <= wanted or n == most:
                repeated += low <= 0 <= high
                break
        for n in range(least, most + 1):
            half = stats.t.ppf(0.975, n - 1) * values[:n].std(ddof=1) / math.sqrt(n)
            if half <= wanted or n == most:
                plain += abs(values[:n].mean()) <= half
                break
    assert repeated / runs >= 0.95
    assert plain / runs < 0.94
    assert (looks(3, 12), looks(3, 12, 2), looks(3, 11, 4)) == (10, 6, 3)
    assert corrected_level(0.95, 10) == pytest.approx(0.995)
