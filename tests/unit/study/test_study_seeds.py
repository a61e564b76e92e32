"""Seeds by a rule: what is not one is told at its place, and a plan has what the rule grants."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_text import DEPTH, loaded, planned, problems

from orchestrator.model.adaptive import Adaptive
from orchestrator.study.adaptive import part_of, reach_of

RULE = DEPTH + "seeds: {min: %s, max: 9, until: {%s}}\n"

# text after the head, line, column, code, part of the message
CASES = {
    "no until": (DEPTH + "seeds: {min: 2, max: 4}", 8, 8, "missing-key", "needs the key 'until'"),
    "one seed": (
        RULE % ("1", "metric: test_error, half_width: 1"),
        8,
        14,
        "out-of-range",
        "must be >= 2, got",
    ),
    "unknown key": (
        RULE % ("2", "metric: test_error, width: 1"),
        8,
        51,
        "unknown-key",
        "half_width",
    ),
    "until nothing": (RULE % ("2", "from: [test]"), 8, 25, "missing-key", "a metric with its half_width"),
    "until two": (
        RULE % ("2", "metric: test_error, half_width: 0.1, claim: c"),
        8,
        25,
        "conflict",
        "not both",
    ),
    "no width": (RULE % ("2", "metric: test_error"), 8, 25, "missing-key", "needs a half_width"),
    "negative width": (
        RULE % ("2", "metric: test_error, half_width: -1"),
        8,
        63,
        "bad-value",
        "half_width",
    ),
    "nothing to add": (
        RULE % ("9", "metric: test_error, half_width: 0.1"),
        8,
        22,
        "out-of-range",
        "max must be more than min, which is 9; got 9",
    ),
    "no such claim": (RULE % ("2", "claim: helps"), 8, 40, "unknown-claim", "unknown claim 'helps'"),
    "no such metric": (
        RULE % ("2", "metric: test_eror, half_width: 0.1"),
        8,
        41,
        "unknown-metric",
        "did you mean 'test_error'",
    ),
    "no such evaluation": (
        RULE % ("2", "metric: test_error, half_width: 0.1, from: [tset]"),
        8,
        76,
        "unknown-evaluation",
        "did you mean 'test'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_rule_is_told_at_its_place(tmp_path: Path, name: str) -> None:
    text, line, column, code, part = CASES[name]
    found = problems(tmp_path, text)
    assert found, "nothing was told"
    assert (found[0].line, found[0].code, part in found[0].message) == (line, code, True), found[0]
    assert abs(found[0].column - column) <= 8, found[0]


def test_a_rule_is_read(tmp_path: Path) -> None:
    study = loaded(tmp_path, RULE % ("2", "metric: test_error, half_width: 0.1"))
    assert study.adaptive == Adaptive(least=2, most=9, metric="test_error", half_width=0.1)
    assert study.seeds == tuple(range(9))
    fixed = loaded(tmp_path, RULE % ("2", "metric: test_error, half_width: 0.1"), seeds=(4, 5))
    assert (fixed.seeds, fixed.adaptive) == ((4, 5), None)


def test_a_part_has_the_first_seeds_of_each_cell(tmp_path: Path) -> None:
    text = DEPTH + "seeds: [5, 3, 4]\nevaluate: {vote: {gather: depth, family: vote, as: {depth: all}}}\n"
    plan = planned(tmp_path, text)
    granted = {"depth=14": 1, "depth=26": 2}
    part = part_of(plan, granted, reach_of(plan), (5, 3, 4))
    found = sorted((each.evaluation, each.labels["depth"], each.seed) for each in part.assignments)
    assert found == [("test", "14", 5), ("test", "26", 3), ("test", "26", 5), ("vote", "all", 5)]
    assert len(part.trials) == 4
    assert list(part.trials) == [key for key in plan.trials if key in part.trials]
    whole = part_of(plan, dict.fromkeys(granted, 3), reach_of(plan), (5, 3, 4))
    assert (whole.trials, whole.assignments) == (plan.trials, plan.assignments)
