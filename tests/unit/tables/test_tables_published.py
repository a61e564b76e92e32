"""Printed values beside a table's own: real studies, real files, frames made to agree or not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from makers import Made, spec
from scipy import stats

from orchestrator.errors import StudyError
from orchestrator.model.plan import Assignment, State
from orchestrator.model.study import Axis, PrintedValue, Published, Study, TableSpec
from orchestrator.model.table import Entry, Table
from orchestrator.stats.printed import agreement
from orchestrator.study.load import from_document, load
from orchestrator.study.matching import differences
from orchestrator.study.plan import dimensions, plan
from orchestrator.tables.build import build
from orchestrator.tables.render import render
from workloads.spec import SPEC

STUDIES = Path(__file__).parents[3] / "studies"
OWN_STD = 0.0012  # of a table that prints no standard deviation
COLUMNS = ("1", "2", "3", "4", "full")  # of a fractal network
# (study, table) -> what keeps its cells from being compared, and its plan: the same for every filling
PLANNED: dict[tuple[str, str], tuple[dict[str, str], Sequence[Assignment]]] = {}


def around(mean: float, std: float, n: int) -> list[float]:
    """n values of exactly this mean and sample standard deviation."""
    if n == 1:
        return [mean]
    raw = np.linspace(-1.0, 1.0, n)
    return list(mean + std * raw / raw.std(ddof=1))


def fitting(table: TableSpec, labels: dict[str, str], metric: str = "test_error") -> PrintedValue | None:
    assert table.published is not None
    return next(
        (
            value
            for value in table.published.values
            if value.metric == metric
            and all(labels[name] == label for name, label in value.labels.items() if name in labels)
        ),
        None,
    )


def filled(study: Study, table: TableSpec, *, shift: float, n: int, columns: Sequence[str] = ()) -> Table:
    """The table when every entry has the printed mean and spread, shifted by so many standard deviations.

    `columns` are the columns of a fractal network that an evaluation of it reports.
    """
    made = Made(dimensions(study))
    key = study.name, table.name
    if key not in PLANNED:
        told = differences(study, SPEC, table.published) if table.published else {}
        PLANNED[key] = told, plan(study, SPEC).assignments
    told, planned = PLANNED[key]
    for assignment in planned:
        if assignment.evaluation not in table.evaluations or assignment.seed >= n:
            continue
        trial = made.plan(
            assignment.labels,
            seed=assignment.seed,
            evaluation=assignment.evaluation,
            cell=assignment.cell,
            key=f"{assignment.evaluation}|{sorted(assignment.labels.items())}|{assignment.seed}",
        )
        # a plain network is a column trained alone
        own = [
            assignment.labels[name] for name in ("column",) if assignment.labels.get(name, "full") != "full"
        ]
        for coords in [{"column": column} for column in own or columns] if columns else [{}]:
            printed = fitting(table, {**assignment.labels, **coords})
            if printed is None or printed.value is None:
                made.state(trial, State.DIVERGED)
                continue
            # the paper's is of the population
            sample = OWN_STD if printed.std is None else printed.std * math.sqrt(5 / 4)
            value = around(printed.value + shift * sample, sample, n)[assignment.seed]
            made.value(trial, value, evaluation=assignment.evaluation, seed=assignment.seed, coords=coords)
    quiet = TableSpec(**{**{name: getattr(table, name) for name in TableSpec.__slots__}, "attributes": {}})
    return build(quiet, made.frame(), differences=told)


def compared(table: Table) -> Iterator[Entry]:
    for entry in itertools.chain.from_iterable(table.entries):
        if entry.printed is not None:
            yield entry


def verdicts(table: Table) -> set[str]:
    return {entry.printed.verdict for entry in compared(table) if entry.printed and entry.printed.value}


PAPER = [
    ("zhao_table_4", "table_4", 77),
    ("dfn_ensemble", "table_3", 63),
    ("dfn_ensemble", "table_2", 7 * 18 - 2),
]


@pytest.mark.parametrize(("file", "name", "count"), PAPER)
def test_a_table_equal_to_the_published_one_is_reproduced(file: str, name: str, count: int) -> None:
    study = load(STUDIES / "paper" / f"{file}.yaml")
    table = study.table(name)
    assert table is not None
    same = filled(study, table, shift=0, n=5)
    assert (
        sum(entry.printed is not None and entry.printed.value is not None for entry in compared(same))
        == count
    )
    assert verdicts(same) == {"reproduced"}
    assert verdicts(filled(study, table, shift=3, n=5)) == {"not reproduced"}
    assert verdicts(filled(study, table, shift=-3, n=5)) == {"not reproduced"}
    assert verdicts(filled(study, table, shift=0, n=1)) == {"unclear"}
    assert verdicts(filled(study, table, shift=3, n=1)) == {"unclear"}


@pytest.mark.parametrize(
    ("file", "name", "count"),
    [
        ("larsson_table_3", "table_3", 6),
        ("larsson_table_4", "intervals", 9),
        ("veit_effective", "interval", 2),
    ],
)
def test_without_printed_deviations_the_declared_margin_decides(file: str, name: str, count: int) -> None:
    study = load(STUDIES / "paper" / f"{file}.yaml")
    table, n = study.table(name), len(study.seeds)
    assert table is not None
    columns = COLUMNS if "columns" in table.evaluations else ()
    same = filled(study, table, shift=0, n=n, columns=columns)
    assert sum(1 for _ in compared(same)) == count
    assert verdicts(same) == {"reproduced"}
    assert verdicts(filled(study, table, shift=5, n=n, columns=columns)) == {"not reproduced"}
    assert verdicts(filled(study, table, shift=0, n=1, columns=columns)) == {"unclear"}


def test_without_deviation_and_margin_nothing_is_reproduced() -> None:
    study = load(STUDIES / "paper" / "larsson_table_1.yaml")
    table = study.table("table_1")
    assert table is not None
    for shift, verdict in ((0, "unclear"), (5, "not reproduced")):
        built = filled(study, table, shift=shift, n=3, columns=COLUMNS)
        told: dict[str, set[str]] = {}
        for labels, line in zip(built.rows, built.entries, strict=True):
            told[labels[-1]] = {each.printed.verdict for each in line if each.printed}
        assert told.pop("four columns") == {""}  # a reading of the text
        assert set(told) == {"FractalNet", "+ drop-path + dropout", "deepest column alone"}
        assert all(each == {verdict} for each in told.values())


def test_printed_failures_are_reproduced_by_failures() -> None:
    study = load(STUDIES / "paper" / "zhao_table_4.yaml")
    table = study.table("table_4")
    assert table is not None
    fails = [entry for entry in compared(filled(study, table, shift=0, n=5)) if entry.text == "fail"]
    assert {entry.printed.text for entry in fails if entry.printed} == {"fail"}
    assert [entry.printed.verdict for entry in fails if entry.printed] == ["reproduced"] * 3


@pytest.mark.parametrize(("file", "name", "count"), PAPER)
def test_on_digits_values_are_printed_and_not_judged(file: str, name: str, count: int) -> None:
    study = load(STUDIES / f"{file}.yaml")
    table = study.table(name)
    assert table is not None
    built = filled(study, table, shift=0, n=3)
    assert verdicts(built) == {""}
    assert "paper (CIFAR-10)" in render(built, "md")
    assert "data.name is digits, not cifar10" in " ".join(built.notes)
    assert "reproduced" not in render(built, "csv")


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_studies_on_digits_match_no_paper(path: Path) -> None:
    study = load(path)
    for table in study.tables:
        if table.published is not None and table.published.matches:
            assert all(differences(study, SPEC, table.published).values())
            assert table.published.label.startswith("paper (")


@pytest.mark.parametrize("path", sorted((STUDIES / "paper").glob("*.yaml")), ids=lambda path: path.stem)
def test_studies_at_the_paper_s_scale_match_it(path: Path) -> None:
    study = load(path)
    for table in study.tables:
        if table.published is not None:
            told = differences(study, SPEC, table.published)
            readings = {cell for cell in told if "network=four columns" in cell.split(",")}
            assert {told[cell] for cell in told.keys() - readings} == {""}
            assert all(told[cell] for cell in readings)


@pytest.mark.parametrize("patch", [{"epochs": 8}, {"recipe": "larsson2017"}, {"network.width": 0.5}])
def test_a_patched_recipe_is_not_the_paper_s(patch: dict[str, object]) -> None:
    study = load(STUDIES / "paper" / "dfn_ensemble.yaml", patches=patch)
    table = study.table("table_3")
    assert table is not None
    assert table.published is not None
    assert all(differences(study, SPEC, table.published).values())


def test_a_recorded_study_keeps_its_printed_values() -> None:
    study = load(STUDIES / "paper" / "zhao_table_4.yaml")
    again = from_document(study.document, file="gone")
    assert again.table("table_4") == study.table("table_4")


def test_agreement_is_welch_s_from_summaries() -> None:
    values = [0.071, 0.074, 0.069, 0.073]
    for printed in (0.060, 0.068, 0.0715, 0.075):
        found = agreement(values, printed, std=0.002, n=6, ddof=0)
        sample = 0.002 * math.sqrt(6 / 5)
        test = stats.ttest_ind_from_stats(
            float(np.mean(values)), float(np.std(values, ddof=1)), 4, printed, sample, 6, equal_var=False
        )
        assert found.interval is not None
        assert (test.pvalue < 0.10) == (not found.interval[0] <= 0 <= found.interval[1])
        edge = stats.ttest_ind_from_stats(
            float(np.mean(values)) - found.interval[0],
            float(np.std(values, ddof=1)),
            4,
            printed,
            sample,
            6,
            equal_var=False,
        )
        assert edge.pvalue == pytest.approx(0.10)  # at its end the interval's own p
        assert found.margin == pytest.approx(2 * sample)


def test_what_is_not_printed_counts_for_little() -> None:
    values = around(0.07, 0.001, 5)
    # our own spread cannot speak for a reproduction, only against one
    assert agreement(values, 0.07).verdict == "unclear"
    assert agreement(values, 0.10).verdict == "not reproduced"
    assert agreement(values, 0.07, margin=0.003).verdict == "reproduced"
    # t of four degrees at 95 %: 2.1318; times 0.001 * sqrt(1/5 + 1)
    assert agreement(values, 0.07).interval == pytest.approx((-0.0023353, 0.0023353), abs=1e-7)
    # a printed n narrows it: sqrt(1/5 + 1/5)
    assert agreement(values, 0.07, n=5).interval == pytest.approx((-0.0013483, 0.0013483), abs=1e-7)
    # significant, but within the margin and its interval beyond it
    assert agreement(values, 0.0678, n=5, margin=0.003).verdict == "unclear"
    # without any spread the number itself is the evidence
    assert agreement([0.5, 0.5], 0.5, margin=0.01).verdict == "reproduced"
    assert agreement([0.5, 0.5], 0.6, margin=0.01).verdict == "not reproduced"


def one(published: Published, **given: object) -> Table:
    made = Made(dimensions(load(STUDIES / "zhao_table_4.yaml")))
    for seed in range(3):
        trial = made.plan({"size": "14/8", "network": "Plain"}, seed=seed, cell="c")
        made.value(trial, 0.1 + seed / 1000, seed=seed)
    return build(spec(rows=Axis(), published=published, **given), made.frame(), differences={"c": ""})


def value(number: float, **labels: str) -> PrintedValue:
    return PrintedValue(labels=labels, metric="test_error", value=number)


def test_the_printed_value_that_says_most_is_taken_and_a_tie_is_an_error() -> None:
    general, special = value(0.1), value(0.2, network="Plain")
    table = one(Published(values=(general, special, value(0.3, network="ResNet"))))
    assert [entry.printed.value for entry in compared(table) if entry.printed] == [0.2]
    with pytest.raises(StudyError, match=r"they differ in data: select with `published.where`"):
        one(Published(values=(value(0.1, data="CIFAR-10"), value(0.2, data="SVHN"))))


def test_without_matches_or_with_medians_there_is_no_verdict() -> None:
    for published, given in (
        (Published(values=(value(0.1),)), {}),
        (Published(values=(value(0.1),), matches={"epochs": (8,)}, margin=1.0), {"show": "median"}),
    ):
        table = one(published, **given)
        assert verdicts(table) == {""}
        assert any("no verdict, since" in note for note in table.notes)
    assert verdicts(one(Published(values=(value(0.1),), matches={"epochs": (8,)}, margin=1.0))) == {
        "reproduced"
    }
