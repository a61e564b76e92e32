"""Seeds that are too few for what a study asks of them are told before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.enough import shortages
from orchestrator.app.planning import Planned, Request, plan_study
from orchestrator.errors import Problem, StudyError
from orchestrator.settings import Settings
from orchestrator.study.load import load

STUDIES = Path(__file__).parents[3] / "studies"

HEAD = (
    "api_version: 1\n"
    "study: few\n"
    "workload: tests.toy_workload:SPEC\n"
    "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}\n"
)


def planned(folder: Path, text: str, seeds: tuple[int, ...] | None = None, head: str = HEAD) -> Planned:
    file = folder / "s.yaml"
    file.write_text(head + text, encoding="utf-8")
    settings = Settings(workload_modules=["tests.toy_workload"], store=str(folder / "store"))
    return plan_study(Request(file=file, patches={}, seeds=seeds), settings)


def refused(folder: Path, text: str, head: str = HEAD) -> list[Problem]:
    with pytest.raises(StudyError) as caught:
        planned(folder, text, head=head)
    assert not (folder / "store").exists()
    return list(caught.value.problems)


@pytest.mark.parametrize("show", ["median [ci95]", "iqm [ci95]", "mean [bootstrap95]"])
def test_intervals_that_need_twenty_seeds_are_refused_with_fewer(tmp_path: Path, show: str) -> None:
    table = f"tables:\n  t:\n    rows: x\n    metric: test_error\n    show: {show}\n"
    (problem,) = refused(tmp_path, "seeds: 19\n" + table)
    assert (problem.line, problem.column, problem.code) == (10, 11, "too-few-seeds")
    alone = show.split(" [")[0]
    assert problem.message == (
        f"the interval of '{show}' needs at least 20 seeds, the study has 19; say seeds: 20, "
        f"or show '{alone}' alone, or 'mean [ci95]'"
    )
    assert planned(tmp_path, "seeds: 20\n" + table).plan.cells


def test_plots_are_refused_alike(tmp_path: Path) -> None:
    plot = "plots:\n  p: {kind: bars, x: x, metric: test_error, show: 'median [ci95]'}\n"
    (problem,) = refused(tmp_path, plot)
    assert (problem.line, problem.code) == (6, "too-few-seeds")


def test_seeds_of_the_command_line_are_a_note(tmp_path: Path) -> None:
    text = "tables: {t: {rows: x, metric: test_error, show: 'iqm [ci95]'}}\n"
    notes = planned(tmp_path, "seeds: 20\n" + text, seeds=(0, 1)).plan.notes
    assert notes == ("tables.t: the interval of 'iqm [ci95]' needs at least 20 seeds; 2 asked for",)
    assert planned(tmp_path, "seeds: 2\n" + text, seeds=tuple(range(20))).plan.notes == ()


def test_other_faults_are_told_with_it(tmp_path: Path) -> None:
    text = (
        "tables:\n"
        "  t: {rows: x, metric: test_error, show: 'iqm [ci95]'}\n"
        "  u: {rows: y, metric: test_error}\n"
    )
    assert [each.code for each in refused(tmp_path, text)] == ["too-few-seeds", "unknown-dimension"]


def test_seeds_that_are_wrong_themselves_are_told_alone(tmp_path: Path) -> None:
    text = "seeds: many\ntables: {t: {rows: x, metric: test_error, show: 'iqm [ci95]'}}\n"
    assert [each.code for each in refused(tmp_path, text)] == ["wrong-type"]


CLAIMS = (
    "claims:\n"
    "  c: {says: it is, metric: test_error, lower: {of: {x: 1}, than: {x: 2}}}\n"
    "  d: {says: it is, metric: test_error, similar: {of: {x: 1}, to: {x: 2}, within: 1}TEST}\n"
)
TABLE = "tables:\n  t: {rows: x, metric: test_error, baseline: {x: 1}TEST}\n"


def test_one_seed_is_refused_for_claims_and_contrasts(tmp_path: Path) -> None:
    text = (TABLE + CLAIMS).replace("TEST", "")
    found = refused(tmp_path, text)
    assert [(each.line, each.code) for each in found] == [
        (6, "too-few-seeds"),
        (8, "too-few-seeds"),
        (9, "too-few-seeds"),
    ]
    assert found[0].message == (
        "a paired t test can show nothing with fewer than 2 seeds, the study has 1; say seeds: 2, or drop "
        "the baseline"
    )
    assert found[1].message.startswith("no claim can hold by a paired t test with fewer than 2 seeds")
    assert planned(tmp_path, "seeds: 2\n" + text).plan.cells


def test_one_seed_of_the_command_line_is_a_note(tmp_path: Path) -> None:
    text = "seeds: 5\n" + (TABLE + CLAIMS).replace("TEST", "")
    notes = planned(tmp_path, text, seeds=(3,)).plan.notes
    assert notes[:2] == (
        "tables.t: a paired t test can show nothing with fewer than 2 seeds; 1 asked for",
        "claims.c, claims.d: no claim can hold by a paired t test with fewer than 2 seeds; 1 asked for",
    )
    assert len(notes) == 3  # and what the claims need


def test_a_permutation_test_needs_the_seeds_whose_signs_can_reject(tmp_path: Path) -> None:
    claims = CLAIMS.replace("TEST", ", test: permutation")
    (problem,) = refused(tmp_path, "seeds: 4\n" + claims)  # the other claim takes t
    assert (problem.line, problem.code) == (8, "too-few-seeds")
    assert "by a permutation test with fewer than 5 seeds, the study has 4; say seeds: 5" in problem.message
    assert planned(tmp_path, "seeds: 5\n" + claims).plan.cells


def test_a_permutation_test_is_corrected_for_the_contrasts_of_its_table(tmp_path: Path) -> None:
    levels = HEAD.replace("levels: [1, 2]", "levels: [1, 2, 3, 4, 5, 6, 7, 8, 9]")
    table = TABLE.replace("TEST", ", test: permutation")
    # 2 / 2^8 x 8 contrasts is more than 0.05, and so is 2 / 2^5 of one.
    (problem,) = refused(tmp_path, "seeds: 5\n" + table)
    assert "fewer than 6 seeds" in problem.message
    assert planned(tmp_path, "seeds: 6\n" + table).plan.cells
    (problem,) = refused(tmp_path, "seeds: 8\n" + table, head=levels)
    assert problem.line == 7
    assert problem.message == (
        "a permutation test corrected for 8 contrasts can show nothing with fewer than 9 seeds, the study "
        "has 8; say seeds: 9, or test: t, or drop the baseline"
    )
    assert planned(tmp_path, "seeds: 9\n" + table, head=levels).plan.cells
    notes = planned(tmp_path, "seeds: 9\n" + table, seeds=(0, 1), head=levels).plan.notes
    assert notes[0].startswith("tables.t: a permutation test corrected for 8 contrasts can show nothing")


def test_the_looks_of_a_rule_are_corrected_for_too(tmp_path: Path) -> None:
    rule = "seeds: {min: 4, max: MAX, until: {claim: d}}\n" + CLAIMS.replace("TEST", ", test: permutation")
    # 2^-7 x 4 looks is less than 0.05, 2^-6 x 3 looks is, and 2^-5 x 2 looks is not.
    (problem,) = refused(tmp_path, rule.replace("MAX", "5"))
    assert "fewer than 6 seeds" in problem.message
    assert planned(tmp_path, rule.replace("MAX", "6")).plan.cells


def test_signs_are_flipped_of_pairs_only(tmp_path: Path) -> None:
    table = TABLE.replace("TEST", ", test: permutation, paired: false")
    assert [each.code for each in refused(tmp_path, "seeds: 9\n" + table)] == ["conflict"]


@pytest.mark.parametrize("file", sorted(STUDIES.glob("**/*.yaml")), ids=lambda file: file.stem)
def test_no_study_of_the_repository_asks_for_what_it_cannot_show(file: Path) -> None:
    assert not list(shortages(load(file)))
