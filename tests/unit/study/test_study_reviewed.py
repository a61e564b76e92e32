"""Faults that were found by reading, and must not come back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from orchestrator.app.planning import Request, plan_study
from orchestrator.errors import StudyError
from orchestrator.settings import Settings
from orchestrator.study.config import bind
from orchestrator.study.load import from_document, load
from orchestrator.study.plan import plan
from orchestrator.study.workload import resolve
from workloads.api import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """A kind of schedule."""

    name: Literal["fall"] = "fall"
    by: float = 0.1
    at: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """Another."""

    name: Literal["rise"] = "rise"
    by: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """A config with a group that has kinds."""

    schedule: Fall | Rise = field(default_factory=Fall)
    epochs: int = 1


HEAD = "api_version: 1\nstudy: s\nworkload: tests.toy_workload:SPEC\n"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "s.yaml"
    file.write_text(HEAD + text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "name", ["budget", "search", "config", "seeds", "draws", "digits", "cpu", "set", "levels"]
)
def test_a_factor_of_any_name_keeps_its_labels_when_recorded(tmp_path: Path, name: str) -> None:
    text = (
        f"design: {{type: factorial, factors: {{{name}: {{path: x, levels: [1e3, 2e3]}}}}}}\n"
        f"tables: {{t: {{where: {{{name}: 1e3}}, metric: test_error}}}}\n"
    )
    study = load(write(tmp_path, text))
    again = from_document(study.document, file="recorded")
    assert [level.label for level in again.design.factors[0].levels] == ["1e3", "2e3"]
    assert again.tables == study.tables
    assert again.design == study.design


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("rows: x, metrics: [test_error, error], from: [test, train]", "metric"),
        ("rows: [x, x], metric: test_error", "rows names the same twice"),
        ("rows: x, metrics: [test_error, test_error], columns: metric", "metrics names the same twice"),
        ("rows: x, from: [test, test], metric: test_error", "from names the same twice"),
        ("rows: x, metric: test_error, average_over: [metric]", "different metrics cannot be averaged"),
    ],
)
def test_a_table_that_cannot_be_built_is_refused_before_anything_is_trained(
    tmp_path: Path, table: str, said: str
) -> None:
    text = (
        "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}\n"
        f"tables: {{t: {{{table}}}}}\n"
    )
    with pytest.raises(StudyError, match=said):
        plan(load(write(tmp_path, text)), resolve("tests.toy_workload:SPEC", modules=["tests.toy_workload"]))


def test_a_directory_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        load(tmp_path)
    assert str(caught.value).count("is a directory") == 1
    assert "cannot read" not in str(caught.value)


def test_an_exclude_names_a_factor(tmp_path: Path) -> None:
    text = "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}, exclude: [{}]}\n"
    with pytest.raises(StudyError, match="an exclude names at least one factor"):
        load(write(tmp_path, text))


def faults(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    """Returns (line, code) of everything that `orch validate` tells of a study of the toy workload."""
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8")
    settings = Settings(workload_modules=["tests.toy_workload"], store=str(tmp_path / "store"))
    with pytest.raises(StudyError) as caught:
        plan_study(Request(file=file, patches={}), settings)
    return [(each.line, each.code) for each in caught.value.problems]


FACTORIAL = "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}\n"


def test_faults_of_the_language_hide_none_of_config_evaluations_and_tables(tmp_path: Path) -> None:
    text = HEAD + (
        "titel: t\n"  # line 4
        "config: {stepz: 3, steps: 0}\n"
        "design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}\n"
        "evaluate:\n"
        "  probe: {famili: probe}\n"
        "tables:\n"
        "  t: {rows: y, metric: test_error}\n"
    )
    assert faults(tmp_path, text) == [
        (4, "unknown-key"),
        (5, "unknown-path"),
        (5, "bad-value"),
        (8, "unknown-key"),
    ]
    text = (
        text.replace("evaluate:\n  probe: {famili: probe}\n", "")
        + "  u: {rows: z, metric: tset_error, best: mx}\n"
    )
    assert faults(tmp_path, text)[3:] == [
        (8, "unknown-dimension"),
        (9, "unknown-dimension"),
        (9, "unknown-metric"),
        (9, "bad-value"),
    ]


def test_one_slip_is_one_error(tmp_path: Path) -> None:
    table = "tables: {t: {rows: x, metric: test_error}}\n"
    slips = {
        "wrong-type": FACTORIAL.replace("[1, 2]", "3") + table,
        "duplicate-value": FACTORIAL.replace("[1, 2]", "[1, 1]") + table,
        "bad-value": FACTORIAL + table.replace("rows: x", "rows: x, best: mx"),
        "unknown-family": FACTORIAL
        + "evaluate: {e: {family: nothing, vary: {module: {levels: [1, 2]}}}}\n"
        + "tables: {t: {from: e, rows: [x, module], metric: test_error}}\n",
    }
    for code, text in slips.items():
        assert [found for _, found in faults(tmp_path, HEAD + text)] == [code], code


@pytest.mark.parametrize("key", ["study", "workload"])
def test_a_required_word_left_empty_is_refused(tmp_path: Path, key: str) -> None:
    text = "\n".join(f"{key}:" if line.startswith(key) else line for line in HEAD.splitlines()) + "\n"
    assert [code for _, code in faults(tmp_path, text + FACTORIAL)] == ["wrong-type"]


def test_remarks_left_empty_are_empty(tmp_path: Path) -> None:
    text = (
        "title:\nnotes: null\npaper: ~\n"
        + FACTORIAL
        + "tables: {t: {rows: x, metric: test_error, caption: }}\n"
    )
    study = load(write(tmp_path, text))
    assert (study.title, study.notes, study.paper, study.tables[0].caption) == ("", "", "", "")


def test_an_otherwise_left_empty_is_none_and_a_level_written_null_keeps_its_label(tmp_path: Path) -> None:
    text = (
        "design: {type: factorial, factors: {x: {path: x, levels: [null, 2]}, "
        "y: {path: y, when: {x: null}, otherwise: null, levels: [1, 2]}}}\n"
    )
    x, y = load(write(tmp_path, text)).design.factors
    assert [level.label for level in x.levels] == ["null", "2"]
    assert y.otherwise is None
    assert y.when == {"x": ("null",)}


@pytest.mark.parametrize(
    "key", ["baseline: {x: 1}", "on: {x: 1}", "cells: {a: {x: 1}}"], ids=lambda key: key.partition(":")[0]
)
def test_keys_of_another_design_are_refused(tmp_path: Path, key: str) -> None:
    text = FACTORIAL.replace("type: factorial,", f"type: factorial, {key},")
    assert faults(tmp_path, HEAD + text) == [(4, "conflict")]


def test_a_gather_takes_no_two_cells_with_one_label(tmp_path: Path) -> None:
    text = (
        "design:\n  type: list\n"
        "  factors: {x: {path: x, levels: [1, 2]}}\n"
        "  cells: {first: {x: 1}, second: {x: 2}, again: {x: 1}}\n"
        "evaluate: {vote: {gather: x, as: {x: all}}}\n"
    )
    with pytest.raises(StudyError, match="cells variant=first and variant=again have the same x=1") as caught:
        plan(load(write(tmp_path, text)), resolve("tests.toy_workload:SPEC", modules=["tests.toy_workload"]))
    assert [each.line for each in caught.value.problems] == [8]


def test_a_member_that_an_ensemble_lacks_is_known_while_planning(tmp_path: Path) -> None:
    text = (
        "api_version: 1\nstudy: s\nworkload: classification\nconfig: {network: {name: path_ensemble}}\n"
        "design: {type: factorial, factors: {e: {path: network.members, "
        "levels: {eight: all, seven: without_deepest}}}}\n"
        "evaluate: {members: {vary: {member: {levels: [LLL, RRR]}}}}\n"
    )
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        plan(load(file), resolve("classification"))
    (problem,) = caught.value.problems
    assert problem.code == "unsuited"
    assert "cell e=seven: member RRR is not one of the ensemble's" in problem.message


# --- recipes ------------------------------------------------------------------------------------------


def values(tmp_path: Path, text: str, **patches: object) -> list[tuple[float, int, str]]:
    """Returns (x, steps, fault) of every cell of a study of the toy workload, and checks their keys."""
    study = load(write(tmp_path, text), patches=patches)
    spec = resolve("tests.toy_workload:SPEC", modules=["tests.toy_workload"])
    made = plan(study, spec)
    return [(each.config["x"], each.config["steps"], each.config["fault"]) for each in made.cells]


def test_a_recipe_stands_for_what_a_study_does_not_say(tmp_path: Path) -> None:
    """The toy's recipes: long is x 2, steps 5; short is x 7, steps 1, fault diverge."""
    by_recipe = "design: {type: factorial, factors: {r: {path: recipe, levels: [long, short]}}}\n"
    assert values(tmp_path, by_recipe) == [(2.0, 5, ""), (7.0, 1, "diverge")]
    assert values(tmp_path, "config: {steps: 4}\n" + by_recipe) == [(2.0, 4, ""), (7.0, 4, "diverge")]
    assert values(tmp_path, "config: {recipe: long}\n" + FACTORIAL) == [(1.0, 5, ""), (2.0, 5, "")]
    assert values(tmp_path, "config: {recipe: null}\n" + FACTORIAL) == [(1.0, 3, ""), (2.0, 3, "")]
    assert values(tmp_path, FACTORIAL, recipe="short") == [(1.0, 1, "diverge"), (2.0, 1, "diverge")]
    assert values(tmp_path, "config: {recipe: long}\n" + FACTORIAL, recipe="short", steps=2) == [
        (1.0, 2, "diverge"),
        (2.0, 2, "diverge"),
    ]


def test_a_recipe_is_no_part_of_identity(tmp_path: Path) -> None:
    spec = resolve("tests.toy_workload:SPEC", modules=["tests.toy_workload"])
    keys = [
        set(plan(load(write(tmp_path, text + FACTORIAL)), spec).trials)
        for text in ("config: {recipe: long}\n", "config: {steps: 5}\n", "config: {recipe: short}\n")
    ]
    assert keys[0] == keys[1] != keys[2]


def test_recipes_lay_a_studys_values_over_their_own_inside_groups(tmp_path: Path) -> None:
    base = Nested(schedule=Fall(by=0.5, at=3), epochs=7)
    spec = Spec(name="n", version=1, config=Nested, metrics={}, recipes={"r": base}, runtime="")
    assert bind(spec, {"recipe": "r"}) == base
    assert bind(spec, {"recipe": "r", "schedule": {"at": 9}}) == replace(base, schedule=Fall(by=0.5, at=9))
    # another kind keeps nothing of the recipe's
    assert bind(spec, {"recipe": "r", "schedule": {"name": "rise"}}) == replace(base, schedule=Rise())


def test_an_unknown_recipe_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"unknown recipe 'lnog'; did you mean 'long'.; known: long, short"):
        values(tmp_path, "config: {recipe: lnog}\n" + FACTORIAL)
    with pytest.raises(StudyError, match="unknown config key 'recipes'; did you mean 'recipe'"):
        values(tmp_path, "config: {recipes: long}\n" + FACTORIAL)
