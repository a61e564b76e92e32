"""From a study file to its tables, as a user runs it, on a workload without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.street.orch import Orch

STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config: {steps: 2}
design:
  type: factorial
  factors:
    x: {path: x, levels: [1, 2]}
    fault: {path: fault, levels: {none: ""}}
seeds: 3
evaluate:
  scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}
  vote: {gather: x, as: {x: all}}
tables:
  errors:
    from: [test, scaled, vote]
    where: {fault: none}
    rows: x
    columns: by
    metric: test_error
"""


def entries_of(table: Any) -> dict[tuple[str, ...], Any]:
    """Returns (row labels, column labels) -> entry of a table's JSON."""
    return {
        (*row, *column): entry
        for row, entries in zip(table["rows"], table["entries"], strict=True)
        for column, entry in zip(table["columns"], entries, strict=True)
    }


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    return Orch(directory=tmp_path)


def test_a_study_runs_once(orch: Orch) -> None:
    file = orch.study(STUDY)
    first = orch("submit", file, "--json").json
    assert (first["trained"], first["evaluated"]) == (6, 15)
    assert first["counts"]["succeeded"] == 21
    again = orch("submit", file, "--json").json
    assert (again["trained"], again["evaluated"], again["counts"]["succeeded"]) == (0, 0, 21)
    assert again["tables"] == first["tables"]
    assert again["submission"] == first["submission"]


def test_the_table_is_what_a_hand_count_gives(orch: Orch) -> None:
    import statistics

    from tests.toy_workload import value

    file = orch.study(STUDY)
    orch("submit", file)
    (table,) = orch("table", "demo", "--json").json["tables"]
    entries = entries_of(table)
    for x in (1, 2):
        values = [value(float(x), seed, 2) for seed in range(3)]
        for by, factor in (("one", 1), ("2", 2), ("3", 3)):
            entry = entries[(str(x), by)]
            assert entry["estimate"] == pytest.approx(statistics.mean(values) * factor)
            assert entry["spread"] == pytest.approx(statistics.stdev(values) * factor)
            assert entry["n"] == 3
    votes = [(value(1.0, seed, 2) + value(2.0, seed, 2)) / 2 for seed in range(3)]
    assert entries[("all", "one")]["estimate"] == pytest.approx(statistics.mean(votes))


def test_only_what_is_new_runs(orch: Orch) -> None:
    file = orch.study(STUDY)
    orch("submit", file)
    orch.study(STUDY.replace("levels: [1, 2]}", "levels: [1, 2, 5]}"))
    plan = orch("plan", file, "--json").json
    # three trainings and two scaled evaluations for each, and the votes, which now join three nets
    assert plan["counts"]["to_run"] == 3 + 6 + 3
    grown = orch("submit", file, "--json").json
    assert (grown["trained"], grown["evaluated"]) == (3, 9)


def test_a_second_study_shares_the_baseline(orch: Orch) -> None:
    orch("submit", orch.study(STUDY))
    other = orch.study(
        STUDY.replace("study: demo", "study: other").replace("levels: [1, 2]}", "levels: [2, 7]}"),
        "other.yaml",
    )
    done = orch("submit", other, "--json").json
    assert done["trained"] == 3
    assert {each["study"] for each in orch("list", "--json").json["studies"]} == {"demo", "other"}


def test_seeds_cells_and_patches_narrow_a_submission(orch: Orch) -> None:
    file = orch.study(STUDY)
    some = orch("submit", file, "--cells", "x=1", "--seeds", "0", "--json").json
    assert some["trained"] == 1
    patched = orch("submit", file, "--set", "steps=1", "--seeds", "0-1", "--json").json
    assert patched["trained"] == 4
    assert orch("submit", file, "--json").json["trained"] == 5


def test_plan_and_validate_leave_no_trace(orch: Orch) -> None:
    file = orch.study(STUDY)
    orch("plan", file)
    orch("validate", file)
    broken = orch.study(STUDY.replace("seeds: 3", "seedz: 3").replace("steps: 2", "stepz: 2"), "broken.yaml")
    done = orch("submit", broken, code=2)
    assert "unknown-key" in done.err
    assert "seeds" in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in orch.directory.iterdir() if not path.name.startswith(".")) == [
        "broken.yaml",
        "study.yaml",
    ]


def test_fail_error_and_blocked_are_told_apart(orch: Orch) -> None:
    text = (
        STUDY.replace('{none: ""}', '{none: "", bad: diverge, ugly: raise}')
        .replace("    where: {fault: none}\n", "")
        .replace("rows: x", "rows: [fault, x]")
        .replace("vote: {gather: x", "vote: {gather: fault")
        .replace("as: {x: all}", "as: {fault: joined}")
        .replace("seeds: 3", "seeds: 2")
    )
    file = orch.study(text)
    done = orch("submit", file, "--json", code=1).json
    assert done["counts"] | {"pending": 0} == done["counts"]
    assert done["counts"]["failed"] == 4
    assert done["counts"]["diverged"] == 4
    (table,) = done["tables"]
    status = {labels: (entry["status"], entry["text"]) for labels, entry in entries_of(table).items()}
    assert status[("none", "1", "one")][0] == "ok"
    assert status[("bad", "1", "one")] == ("fail", "fail")
    assert status[("bad", "1", "2")] == ("fail", "fail")  # a diverged net is not evaluated: it failed
    assert status[("ugly", "1", "one")][0] == "error"
    assert status[("joined", "1", "one")][0] == "blocked"
    assert "the toy was told to raise" in " ".join(table["notes"])
    failure = done["failures"][0]["trial"]
    assert "told to raise" in orch("logs", failure).out
    assert orch("show", failure, "--json").json["state"] == "failed"
    # without the raising cell nothing is wrong: diverging is an outcome
    fine = orch.study(text.replace(", ugly: raise", "").replace("study: demo", "study: fine"), "fine.yaml")
    assert orch("submit", fine, "--json").json["counts"]["failed"] == 0


def test_every_verb_speaks_json(orch: Orch) -> None:
    file = orch.study(STUDY)
    orch("submit", file)
    for arguments in (
        ("status",),
        ("status", "demo"),
        ("list",),
        ("show", "demo"),
        ("table", "demo"),
        ("config",),
        ("plan", file),
        ("validate", file),
        ("watch", "demo"),
    ):
        done = orch(*arguments, "--json") if arguments[0] != "watch" else orch(*arguments)
        if arguments[0] != "watch":
            assert done.json["schema_version"] == 1, arguments
    assert orch("status", "nothing", "--json", code=3).json["error"] == "NotFoundError"
    assert "did you mean demo" in orch("status", "dem", code=3).err


@pytest.mark.parametrize("form", ["md", "latex", "csv", "html", "json"])
def test_tables_in_every_format_go_to_files(orch: Orch, form: str) -> None:
    orch("submit", orch.study(STUDY))
    printed = orch("table", "demo", "--format", form).out
    orch("table", "demo", "errors", "--format", form, "-o", "out")
    assert (orch.directory / "out").read_text() == printed
    assert "±" in printed or "pm" in printed or form == "csv"


def test_an_unknown_verb_or_flag_is_a_usage_error(orch: Orch) -> None:
    assert "No such command" in orch("frobnicate", code=2).err
    assert "No such option" in orch("plan", "--frobnicate", code=2).err
    assert orch("table", "demo", code=3).err.startswith("error[no-such]: no store at")


def test_seeds_that_fail_alike_hold_the_others_of_their_cell_back(orch: Orch) -> None:
    text = STUDY.replace('levels: {none: ""}', 'levels: {none: "", broken: raise}')
    text = text.replace("seeds: 3", "seeds: 6").replace("steps: 2", "steps: 2, step_s: 0.06")  # no bundles
    text = text.replace("  vote: {gather: x, as: {x: all}}\n", "").replace("scaled, vote]", "scaled]")
    finished = orch("submit", orch.study(text), "--json", code=1).json
    # two cells are broken: two seeds of each were tried, the other four were not
    assert finished["counts"]["failed"] == 2 * 2
    assert finished["counts"]["succeeded"] == 2 * 6 * 3
    trainings = [row for row in orch("--json", "show", "demo").json["trials"] if row["evaluation"] == "test"]
    held = [row for row in trainings if row["state"] == "blocked"]
    assert len(held) == 2 * 4
    assert all("not tried: seeds" in row["message"] for row in held)
    again = orch("resume", "demo", "--failed", "--json", code=1).json
    assert again["counts"]["failed"] == 2 * 2  # they are tried again, and held back again
