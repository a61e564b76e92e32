"""Searches: what they choose is what a count by hand chooses, whoever runs them and however often."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.street.orch import Orch, until
from tests.toy_workload import Config, value_of

STUDY = """
api_version: 1
study: tuned
workload: tests.toy_workload:SPEC
config: {steps: 4, CONFIG}
design:
  type: factorial
  factors: {bowl: {path: bowl, levels: [3, -5]}, ballast: {path: ballast_kb, levels: [0, 1]}}
seeds: 3
search:
  space: {x: {low: -10.0, high: 10.0}}
  trials: 16
  metric: error
  KEYS
evaluate:
  scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}
tables:
  errors: {from: [test, scaled], rows: bowl, columns: [ballast, by], metric: test_error}
"""


def study(orch: Orch, keys: str = "", config: str = "x: 0", name: str = "study.yaml") -> Path:
    """Returns a study's file."""
    return orch.study(STUDY.replace("KEYS", keys or "best: min").replace("CONFIG", config), name)


def chosen(orch: Orch) -> dict[str, float]:
    """Returns row of the searches' table -> the value that was chosen."""
    (table,) = orch("table", "tuned", "search", "--json").json["tables"]
    return {
        labels[0]: entries[0]["estimate"]
        for labels, entries in zip(table["rows"], table["entries"], strict=True)
    }


def trials(orch: Orch) -> dict[str, tuple[Any, ...]]:
    """Returns every trial of the store: what it is, and how it ended."""
    query = (
        "SELECT t.key, t.stage, c.body, p.body, t.draw, t.seed, t.state FROM orch_trials t "
        "JOIN orch_documents c ON c.digest = t.config JOIN orch_documents p ON p.digest = t.parameters"
    )
    with sqlite3.connect(orch.directory / "store" / "registry.db") as connection:
        return {row[0]: row[1:] for row in connection.execute(query)}


def values(orch: Orch) -> list[list[Any]]:
    """Returns the estimates of the study's own table."""
    (table,) = orch("table", "tuned", "errors", "--json").json["tables"]
    return [[entry["values"] for entry in entries] for entries in table["entries"]]


def test_each_cell_gets_the_best_of_its_candidates(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = study(orch)
    planned = orch("plan", file, "--json").json
    assert planned["counts"]["searches"] == 4
    assert any("64 trainings on seeds of their own" in note for note in planned["notes"])
    done = orch("submit", file, "--json").json
    assert (done["trained"], done["tuned"], done["exit_code"]) == (12, 64, 0)
    found = trials(orch)
    candidates = [row for row in found.values() if row[0] == "tune"]
    assert len(candidates) == 64
    assert min(row[4] for row in candidates) >= 2**31  # no seed of the study
    picks = chosen(orch)
    for bowl in (3, -5):
        for ballast in (0, 1):
            ours = [json_of(row[1]) for row in candidates]
            own = [
                (value_of(Config(**config), row[4], 4), row[3], config["x"])
                for config, row in zip(ours, candidates, strict=True)
                if (config["bowl"], config["ballast_kb"]) == (bowl, ballast)
            ]
            best = min(own)
            assert picks[f"bowl={bowl},ballast={ballast}"] == best[2]
            assert abs(best[2] - bowl) < 1.5
            # Every seed trains with what was chosen, and the table holds what that gives.
            seeds = [json_of(row[1])["x"] for row in found.values() if row[0] == "train"]
            assert seeds.count(best[2]) >= 3
    (table,) = orch("table", "tuned", "errors", "--json").json["tables"]
    columns = [tuple(labels) for labels in table["columns"]]
    entry = table["entries"][0][columns.index(("0", "one"))]
    config = Config(x=picks["bowl=3,ballast=0"], steps=4, bowl=3)
    assert [each["value"] for each in entry["values"]] == [value_of(config, seed, 4) for seed in range(3)]
    assert any("x of each cell: the best of 16 candidates" in note for note in table["notes"])
    again = orch("submit", file, "--json").json
    assert (again["trained"], again["tuned"], again["evaluated"]) == (0, 0, 0)
    assert orch("fsck").code == 0


def json_of(text: str) -> dict[str, Any]:
    """Returns a document of the registry."""
    import json

    found: dict[str, Any] = json.loads(text)
    return found


def test_candidates_never_come_to_the_test(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    orch("submit", study(orch))
    key = next(key for key, row in trials(orch).items() if row[0] == "tune")
    shown = orch("show", key, "--json").json
    evaluations = {row["evaluation"] for row in shown["rows"]}
    assert "train" in evaluations
    assert "test" not in evaluations


@pytest.mark.slow
def test_cells_that_share_a_search_are_judged_together(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    done = orch("submit", study(orch, "by: [ballast]"), "--json").json
    assert (done["trained"], done["tuned"]) == (12, 2 * 2 * 16)
    # Half way between two bowls is best for both: their mean error is least there.
    assert all(abs(x - (-1)) < 1.5 for x in chosen(orch).values())
    assert set(chosen(orch)) == {"ballast=0", "ballast=1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        "pruner: {name: median, startup: 2}",
        "parallel: 3",
        "sampler: qmc",
    ],
)
def test_killed_five_times_it_ends_with_the_same_trials(tmp_path: Path, keys: str) -> None:
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    trace = tmp_path / "trace"
    killed, whole = Orch(directory=tmp_path / "killed"), Orch(directory=tmp_path / "whole")
    slow = f"x: 0, step_s: 0.003, trace: {trace}"
    file = study(killed, keys, slow)
    dice = random.Random(7)
    for number in range(5):
        begun = len(trace.read_text().splitlines()) if trace.exists() else 0
        command = ("resume", "tuned") if number else ("submit", file)
        with killed.start(*command) as driver:
            limit = begun + dice.randrange(5, 45)
            until(lambda limit=limit: lines(trace) >= limit or driver.poll() is not None, what="some steps")
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
    assert driver.returncode == -signal.SIGKILL  # the last one too had something left to do
    killed("resume", "tuned")
    whole("submit", study(whole, keys, slow))
    assert trials(killed) == trials(whole)
    assert values(killed) == values(whole)
    assert chosen(killed) == chosen(whole)


def lines(file: Path) -> int:
    """Returns how many lines a file has by now."""
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.slow
def test_what_is_pruned_trains_no_longer(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path, environment={"ORCH_CHECKPOINT_INTERVAL_S": "0"})
    trace = tmp_path / "trace"
    config = f"x: 0, step_s: 0.002, trace: {trace}"
    text = STUDY.replace("steps: 4", "steps: 20").replace("seeds: 3", "seeds: 1")
    keys = "pruner: {name: median, startup: 2, warmup: 1}\n  by: []"
    file = orch.study(text.replace("KEYS", keys).replace("CONFIG", config))
    orch("submit", file)
    (table,) = orch("table", "tuned", "search", "--json").json["tables"]
    columns = [labels[-1] for labels in table["columns"]]
    pruned = table["entries"][0][columns.index("pruned")]["estimate"]
    assert pruned > 0
    assert lines(trace) < 16 * 4 * 20
    # Nobody reads the networks of candidates: what was saved on the way is gone.
    trained = {key for key, row in trials(orch).items() if row[0] == "train"}
    assert {path.parent.name for path in (tmp_path / "store" / "checkpoints").glob("*/*")} == trained


def test_what_cannot_be_searched_is_said_at_its_place(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    text = STUDY.replace("CONFIG", "x: 0").replace("  KEYS\n", "")
    wrong = {
        "trials: 16": ("trials: 0", "must be >= 1"),
        "metric: error": ("metric: eror", "did you mean 'error'?"),
        "{x: {low: -10.0, high: 10.0}}": ("{x: {low: 10.0, high: -10.0}}", "low must be less than high"),
        "space: {x:": ("space: {y:", "unknown config key 'y'"),
        "{low: -10.0, high: 10.0}": ("{low: 0, high: 10, log: true}", "begins above 0"),
        "  space: {x: {low: -10.0, high: 10.0}}": (
            "  by: [bowls]\n  space: {x: {low: -10.0, high: 10.0}}",
            "did you mean 'bowl'?",
        ),
        "{x: {low: -10.0": ("{bowl: {low: -10.0", "factor 'bowl' sets bowl, which the search chooses"),
        "seeds: 3": ("seeds: [2147483648]", "belong to the candidates"),
    }
    for old, (new, told) in wrong.items():
        assert old in text
        done = orch("validate", orch.study(text.replace(old, new)), code=2)
        assert told in done.out + done.err, (new, done.out, done.err)
        assert "study.yaml:" in done.out + done.err
    assert not (tmp_path / "store").exists()


def test_a_search_whose_candidates_all_fail_says_why_and_blocks_what_waits(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = study(orch, config="x: 0, fault: raise", keys="by: []")
    text = file.read_text().replace("trials: 16", "trials: 2")
    file.write_text(text)
    done = orch("submit", file, "--json", code=1).json
    assert (done["trained"], done["tuned"]) == (0, 0)
    assert any("none of its 2 candidates has a value" in each["message"] for each in done["failures"])
    assert done["counts"]["blocked"] > 0


@pytest.mark.slow
def test_a_cancelled_search_goes_on_when_asked_to(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    orch, other = Orch(directory=tmp_path / "one"), Orch(directory=tmp_path / "two")
    trace = tmp_path / "trace"
    file = study(orch, config=f"x: 0, step_s: 0.004, trace: {trace}")
    with orch.start("submit", file) as driver:
        until(lambda: lines(trace) > 30, what="some candidates")
        orch("cancel", "tuned", "--yes")
        driver.wait(60)
    states = {row[0]: set() for row in trials(orch).values()}
    for row in trials(orch).values():
        states[row[0]].add(row[5])
    assert "cancelled" in states["search"]
    assert "running" not in states["search"] | states["tune"]
    orch("resume", "tuned", "--include-cancelled")
    other("submit", study(other, config=f"x: 0, step_s: 0.004, trace: {trace}"))
    assert trials(orch) == trials(other)


@pytest.mark.slow
def test_ray_and_inline_try_the_same(tmp_path: Path) -> None:
    found = []
    for executor in ("inline", "ray"):
        (tmp_path / executor).mkdir()
        orch = Orch(directory=tmp_path / executor, executor=executor)
        orch("submit", study(orch, "pruner: median"))
        found.append((trials(orch), chosen(orch)))
    assert found[0] == found[1]


@pytest.mark.slow
def test_optunas_own_tools_see_the_candidates(tmp_path: Path) -> None:
    import optuna

    orch = Orch(directory=tmp_path)
    orch("submit", study(orch))
    storage = f"sqlite:///{tmp_path / 'store' / 'optuna.db'}"
    names = optuna.get_all_study_names(storage)
    assert len(names) == 4
    shown = {name: optuna.load_study(study_name=name, storage=storage) for name in names}
    assert {len(each.trials) for each in shown.values()} == {16}
    picks = chosen(orch)
    assert {round(each.best_params["x"], 12) for each in shown.values()} == {
        round(x, 12) for x in picks.values()
    }


DIGITS = """
api_version: 1
study: NAME
workload: classification
design: {type: factorial, factors: {FACTOR}}
config:
  epochs: 2
  network: {name: resnet, depth: 14, width: 0.25}
SEARCH
seeds: 1
tables:
  errors: {rows: NAMED, metric: METRIC, from: FROM}
"""


@pytest.mark.slow
def test_the_best_learning_rate_on_digits_is_found(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    rates = [0.0001, 0.001, 0.01, 0.1, 1, 10]
    grid = DIGITS.replace("FACTOR", f"lr: {{path: optimizer.lr, levels: {rates}}}").replace("NAMED", "lr")
    grid = grid.replace("NAME", "grid").replace("METRIC", "validation_error").replace("FROM", "train")
    orch("submit", orch.study(grid.replace("SEARCH", "")))
    (table,) = orch("table", "grid", "errors", "--json").json["tables"]
    errors = {
        float(labels[0]): entry["estimate"]
        for labels, (entry,) in zip(table["rows"], table["entries"], strict=True)
        if entry["estimate"] is not None
    }
    known = min(errors, key=lambda rate: errors[rate])
    space = "{optimizer.lr: {low: 1.0e-4, high: 10.0, log: true}}"
    search = f"search: {{space: {space}, trials: 14, metric: validation_error}}"
    text = DIGITS.replace("FACTOR", "depth: {path: network.depth, levels: [14]}").replace("NAMED", "depth")
    text = text.replace("NAME", "searched").replace("METRIC", "test_error").replace("FROM", "test")
    done = orch("submit", orch.study(text.replace("SEARCH", search), "searched.yaml"), "--json").json
    assert (done["trained"], done["tuned"]) == (1, 14)
    (table,) = orch("table", "searched", "search", "--json").json["tables"]
    best, error = table["entries"][0][0]["estimate"], table["entries"][0][1]["estimate"]
    assert known / 10 < best < known * 10
    # Seeds differ, so it need not be below the grid's best; far from it are all rates but those beside it.
    others = sorted(errors.values())
    assert error < others[2], (best, error, errors)


def test_cells_that_differ_only_between_the_ends_of_a_space_are_searched_apart(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    text = DIGITS.replace("FACTOR", "ghost: {path: ghost_batch, levels: [64, 128]}").replace("NAMED", "ghost")
    text = text.replace("NAME", "apart").replace("METRIC", "test_error").replace("FROM", "test")
    search = "search: {space: {batch_size: [32, 256, 64]}, trials: 3, metric: validation_error}"
    planned = orch("plan", orch.study(text.replace("SEARCH", search)), "--json").json
    assert (planned["counts"]["searches"], planned["counts"]["trainings"]) == (2, 2)


@pytest.mark.slow
def test_how_the_space_is_ordered_decides_nothing(tmp_path: Path) -> None:
    found = []
    for number, space in enumerate(("x: [1, 2, 3], steps: [2, 3, 4]", "steps: [2, 3, 4], x: [1, 2, 3]")):
        (tmp_path / str(number)).mkdir()
        orch = Orch(directory=tmp_path / str(number))
        text = STUDY.replace("x: {low: -10.0, high: 10.0}", space).replace("steps: 4, ", "")
        orch("submit", orch.study(text.replace("KEYS", "by: []").replace("CONFIG", "x: 0")))
        found.append({key: row[2] for key, row in trials(orch).items() if row[0] == "tune"})
    assert found[0] == found[1]


@pytest.mark.slow
def test_two_studies_with_one_search_come_to_one_choice(tmp_path: Path) -> None:
    for name in ("both", "alone"):
        (tmp_path / name).mkdir()
    orch, other = Orch(directory=tmp_path / "both"), Orch(directory=tmp_path / "alone")
    trace = tmp_path / "trace"
    first = study(orch, config=f"x: 0, step_s: 0.01, trace: {trace}")
    second = orch.study(first.read_text().replace("study: tuned", "study: again"), "again.yaml")
    with orch.start("submit", first) as driver:
        until(lambda: lines(trace) > 10, what="some candidates")
        done = orch("submit", second, "--json").json
        assert driver.wait(120) == 0
    assert done["exit_code"] == 0
    other("submit", study(other, config=f"x: 0, step_s: 0.01, trace: {trace}"))
    assert chosen(orch) == chosen(other)
    assert trials(orch) == trials(other)
    (table,) = orch("table", "again", "search", "--json").json["tables"]
    assert [entries[0]["estimate"] for entries in table["entries"]] == list(chosen(orch).values())


@pytest.mark.slow
def test_a_candidate_that_was_cancelled_is_tried_when_it_is_asked_for_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    orch, other = Orch(directory=tmp_path / "one"), Orch(directory=tmp_path / "two")
    trace = tmp_path / "trace"
    file = study(orch, config=f"x: 0, step_s: 0.01, trace: {trace}")
    with orch.start("submit", file) as driver:
        until(lambda: lines(trace) > 2, what="the first candidate")
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    waiting = next(key for key, row in trials(orch).items() if row[0] == "tune" and row[5] == "pending")
    orch("cancel", "tuned", "--trial", waiting, "--yes")
    orch("resume", "tuned")
    other("submit", study(other, config=f"x: 0, step_s: 0.01, trace: {trace}"))
    assert trials(orch) == trials(other)


@pytest.mark.slow
def test_a_failed_candidate_is_counted_and_never_tried_again(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    (tmp_path / "once").mkdir()
    seed = 2**31 + 1
    config = f"x: 0, fault: raise, fault_seed: {seed}, once: {tmp_path}/once/"
    file = study(orch, "by: []", config)
    attempts = orch("submit", file, "--json")
    assert attempts.json["exit_code"] == 0
    before, table = trials(orch), orch("table", "tuned", "search", "--json").json
    again = orch("submit", file, "--json").json
    assert (again["tuned"], again["exit_code"]) == (0, 0)
    orch("resume", "tuned", "--failed")
    assert trials(orch) == before
    assert orch("table", "tuned", "search", "--json").json == table
    assert orch("status", "tuned", "--json").json["studies"][0]["status"] == "done"


def test_a_database_of_optuna_that_is_damaged_stops_nothing(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "optuna.db").write_text("no database")
    assert orch("submit", study(orch, "by: []"), "--json").json["trained"] == 12
    search = next(key for key, row in trials(orch).items() if row[0] == "search")
    assert orch("show", search, "--json").json["trial"] == search
    assert "trains nothing itself" in orch("reproduce", search, code=2).err
