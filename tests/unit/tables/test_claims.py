"""Claims: each kind against scipy, and against what a reader would say."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from orchestrator.app.planning import power_notes
from orchestrator.errors import StudyError
from orchestrator.model.claim import Verdict
from orchestrator.model.plan import State
from orchestrator.model.study import ClaimSpec
from orchestrator.study.load import load
from orchestrator.study.plan import plan
from orchestrator.study.workload import resolve
from orchestrator.tables.claims import judge
from tests.unit.tables.makers import Made, grid

STUDY = """
api_version: 1
study: made
workload: classification
design:
  type: factorial
  factors:
    depth: {path: network.depth, levels: [14, 26, 38]}
    network: {path: network.name, levels: [plain, resnet]}
seeds: 4
claims:
  c:
    says: Something is so
    metric: test_error
    CLAIM
"""
FACTORS = {"depth": ("14", "26", "38"), "network": ("plain", "resnet")}
# Plain networks get worse with depth, residual ones do not change; a seed shifts all networks alike.
SHIFTS = (0.0, 0.02, -0.01, 0.01)
PLAIN = {"14": (0.10, 0.101, 0.102, 0.099), "26": (0.14, 0.139, 0.141, 0.142), "38": (0.30, 0.29, 0.31, 0.32)}
RESNET = {
    "14": (0.08, 0.081, 0.079, 0.08),
    "26": (0.080, 0.079, 0.081, 0.0805),
    "38": (0.081, 0.08, 0.08, 0.079),
}


def made() -> Made:
    errors = {}
    for name, table in (("plain", PLAIN), ("resnet", RESNET)):
        for depth, values in table.items():
            errors[depth, name] = [value + shift for value, shift in zip(values, SHIFTS, strict=True)]
    return grid(FACTORS, errors)


def claim(tmp_path: Path, text: str) -> ClaimSpec:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("CLAIM", text.replace("\n", "\n    ")))
    (found,) = load(file).claims
    return found


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("where: {depth: 38}\nhigher: {of: {network: plain}, than: {network: resnet}}", Verdict.HOLDS),
        (
            "where: {depth: [14, 26, 38]}\nhigher: {of: {network: plain}, than: {network: resnet}}",
            Verdict.HOLDS,
        ),
        ("where: {depth: [14, 38]}\nlower: {of: {network: plain}, than: {network: resnet}}", Verdict.FAILS),
        ("where: {network: plain}\nmonotone: {over: depth, direction: rising}", Verdict.HOLDS),
        ("where: {network: plain}\nmonotone: {over: depth, direction: falling}", Verdict.FAILS),
        ("where: {network: resnet}\nmonotone: {over: depth, direction: rising}", Verdict.UNCLEAR),
        ("where: {network: [plain, resnet]}\nmonotone: {over: depth, direction: rising}", Verdict.UNCLEAR),
        (
            "where: {network: resnet}\nsimilar: {of: {depth: 14}, to: {depth: 38}, within: 0.01}",
            Verdict.HOLDS,
        ),
        ("where: {network: plain}\nsimilar: {of: {depth: 14}, to: {depth: 38}, within: 0.01}", Verdict.FAILS),
        (
            "where: {network: resnet}\nsimilar: {of: {depth: 14}, to: {depth: 38}, within: 0.0003}",
            Verdict.UNCLEAR,
        ),
        ("where: {network: plain}\nbest: {of: {depth: 14}}", Verdict.HOLDS),
        ("where: {network: plain}\nbest: {of: {depth: 38}, by: max}", Verdict.HOLDS),
        ("where: {network: plain}\nbest: {of: {depth: 38}}", Verdict.FAILS),
        ("pool: [depth]\nbest: {of: {network: resnet}}", Verdict.HOLDS),
    ],
)
def test_verdicts(tmp_path: Path, text: str, verdict: Verdict) -> None:
    assert judge(claim(tmp_path, text), made().frame()).verdict is verdict


def test_a_claim_of_several_combinations_is_judged_one_by_one(tmp_path: Path) -> None:
    text = "where: {depth: [14, 26, 38]}\nhigher: {of: {network: plain}, than: {network: resnet}}"
    judged = judge(claim(tmp_path, text), made().frame())
    assert [dict(each.where) for each in judged.evidence] == [
        {"depth": "14"},
        {"depth": "26"},
        {"depth": "38"},
    ]
    for each in judged.evidence:
        depth = dict(each.where)["depth"]
        test = stats.ttest_rel(PLAIN[depth], RESNET[depth], alternative="greater")
        both = stats.ttest_rel(PLAIN[depth], RESNET[depth]).confidence_interval()
        assert each.contrast == "plain − resnet"
        assert each.p == pytest.approx(test.pvalue)
        assert each.interval == pytest.approx((both.low, both.high))
        assert (each.n, each.left_out, each.missing) == (4, 0, 0)


def test_pooled_values_are_averaged_within_a_seed_first(tmp_path: Path) -> None:
    text = "pool: [depth]\nhigher: {of: {network: plain}, than: {network: resnet}}"
    (evidence,) = judge(claim(tmp_path, text), made().frame()).evidence
    plain = [sum(values) / 3 for values in zip(*PLAIN.values(), strict=True)]
    resnet = [sum(values) / 3 for values in zip(*RESNET.values(), strict=True)]
    assert evidence.n == 4  # seeds, not twelve networks
    assert evidence.p == pytest.approx(stats.ttest_rel(plain, resnet, alternative="greater").pvalue)


def test_a_permutation_test_of_four_seeds_shows_nothing_and_of_five_something(tmp_path: Path) -> None:
    higher = "test: permutation\nwhere: {depth: 38}\nhigher: {of: {network: plain}, than: {network: resnet}}"
    judged = judge(claim(tmp_path, higher), made().frame())
    assert (judged.evidence[0].p, judged.verdict) == (2.0**-4, Verdict.UNCLEAR)
    assert judged.rule == (
        "paired one-sided permutation test by seed; holds when every contrast has p < 0.05; the interval is "
        "Student's"
    )
    five = grid(FACTORS, {("38", "plain"): (5, 6, 7, 8, 9), ("38", "resnet"): (1, 3, 2, 4, 5)})
    judged = judge(claim(tmp_path, higher), five.frame())
    assert (judged.evidence[0].p, judged.evidence[0].against) == (2.0**-5, 1.0)
    assert judged.verdict is Verdict.HOLDS
    lower = higher.replace("higher", "lower")
    assert judge(claim(tmp_path, lower), five.frame()).verdict is Verdict.FAILS
    similar = "similar: {of: {network: plain}, to: {network: resnet}, within: MARGIN}"
    near, far = (higher.replace(higher.split("\n")[2], similar.replace("MARGIN", m)) for m in ("6", "1"))
    assert judge(claim(tmp_path, near), five.frame()).evidence[0].p == 2.0**-5
    beyond = judge(claim(tmp_path, far), five.frame())
    assert (beyond.evidence[0].p, beyond.evidence[0].against) == (1.0, 2.0**-4)


def test_one_contrast_the_other_way_is_corrected_for_their_number(tmp_path: Path) -> None:
    text = "where: {depth: [14, 26, 38]}\nlower: {of: {network: plain}, than: {network: resnet}}"
    judged = judge(claim(tmp_path, text), made().frame())
    raw = [stats.ttest_rel(PLAIN[d], RESNET[d], alternative="greater").pvalue for d in FACTORS["depth"]]
    ordered = sorted(raw)
    assert min(each.against or 1 for each in judged.evidence) == pytest.approx(3 * ordered[0])


def test_what_is_missing_is_not_judged_and_what_failed_is_left_out(tmp_path: Path) -> None:
    spec = claim(tmp_path, "where: {depth: 38}\nhigher: {of: {network: plain}, than: {network: resnet}}")
    study = made()
    first = next(each for each in study.assignments if each.labels == {"depth": "38", "network": "plain"})
    study.rows = [row for row in study.rows if row.trial != first.trial]
    study.state(first.trial, State.PENDING)
    waiting = judge(spec, study.frame())
    assert waiting.verdict is Verdict.INCOMPLETE
    assert (waiting.evidence[0].n, waiting.evidence[0].missing) == (3, 1)
    study.state(first.trial, State.FAILED)
    ended = judge(spec, study.frame())
    assert ended.verdict is Verdict.HOLDS
    assert (ended.evidence[0].n, ended.evidence[0].left_out, ended.evidence[0].missing) == (3, 1, 0)


def test_a_plan_says_what_its_seeds_can_show(tmp_path: Path) -> None:
    claim(tmp_path, "where: {depth: 38}\nhigher: {of: {network: plain}, than: {network: resnet}}")
    (note,) = power_notes(load(tmp_path / "study.yaml"))
    assert "claims: 4 seeds find a difference of 1.65 standard deviations" in note  # as statsmodels solves it
    assert "1 needs 8 seeds" in note
    (alone,) = power_notes(load(tmp_path / "study.yaml", seeds=(0,)))
    assert "one seed shows nothing" in alone


def test_one_seed_shows_nothing(tmp_path: Path) -> None:
    spec = claim(tmp_path, "where: {depth: 38}\nhigher: {of: {network: plain}, than: {network: resnet}}")
    errors = {("38", "plain"): [0.3], ("38", "resnet"): [0.1]}
    judged = judge(spec, grid(FACTORS, errors).frame())
    assert judged.verdict is Verdict.UNCLEAR
    assert (judged.evidence[0].difference, judged.evidence[0].p) == (pytest.approx(0.2), None)


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("where: {depth: 38}", "missing-key", "must say one of"),
        (
            "best: {of: {depth: 14}}\nmonotone: {over: depth, direction: rising}",
            "conflict",
            "monotone and best",
        ),
        (
            "where: {dept: 38}\nhigher: {of: {network: plain}, than: {network: resnet}}",
            "unknown-dimension",
            "depth",
        ),
        (
            "higher: {of: {network: plan}, than: {network: resnet}}\nwhere: {depth: 14}",
            "unknown-label",
            "plain",
        ),
        ("higher: {of: {network: plain}, than: {network: resnet}}", "ambiguous-entry", "pool: [depth]"),
        (
            "where: {depth: 14}\nsimilar: {of: {network: plain}, to: {network: resnet}, within: 0}",
            "",
            "within",
        ),
        ("best: {of: {depth: [14, 26]}}\nwhere: {network: plain}", "bad-value", "one label"),
        ("where: {network: plain}\nmonotone: {over: depht, direction: rising}", "unknown-dimension", "depth"),
        ("where: {network: plain}\nmonotone: {over: depth, direction: up}", "", "rising"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_an_error_at_its_line(
    tmp_path: Path, text: str, code: str, told: str
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("CLAIM", text.replace("\n", "\n    ")))
    with pytest.raises(StudyError) as raised:
        plan(load(file), resolve("classification"))
    (problem, *_) = raised.value.problems
    assert problem.line >= 12
    assert told in problem.message
    assert code in ("", problem.code)
