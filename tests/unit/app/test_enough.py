"""Seeds that are too few for what a study asks of them are told before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.planning import Planned, Request, plan_study
from orchestrator.errors import Problem, StudyError
from orchestrator.settings import Settings

HEAD = (
    "api_version: 1\n"
    "study: few\n"
    "workload: tests.toy_workload:SPEC\n"
    "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}\n"
)


def planned(folder: Path, text: str, seeds: tuple[int, ...] | None = None) -> Planned:
    file = folder / "s.yaml"
    file.write_text(HEAD + text, encoding="utf-8")
    settings = Settings(workload_modules=["tests.toy_workload"], store=str(folder / "store"))
    return plan_study(Request(file=file, patches={}, seeds=seeds), settings)


def refused(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(StudyError) as caught:
        planned(folder, text)
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
    assert notes == ("tables.t: the interval of 'iqm [ci95]' needs at least 20 seeds, and 2 were asked for",)
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
