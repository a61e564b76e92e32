"""Seeds that are added by a rule: as many as a count by hand gives, whoever runs it and however often."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from tests.street.orch import Orch, until
from tests.toy_workload import value

STUDY = """
api_version: 1
study: adaptive
workload: tests.toy_workload:SPEC
config: {steps: 3, CONFIG}
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2, 3, 4]}}
seeds: SEEDS
evaluate:
  scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}
  vote: {family: vote, gather: x, as: {x: all}}
claims:
  larger:
    says: Scaled by 3 the error is higher than by 2
    from: [scaled]
    metric: test_error
    where: {x: ["1", "2"]}
    higher: {of: {by: "3"}, than: {by: "2"}}
tables:
  errors: {from: [test, vote], rows: x, metric: test_error, show: "mean [ci95]"}
"""
WIDE = "{min: 3, max: 9, until: {metric: test_error, half_width: 0.3}}"
LOOKS = 7


def study(orch: Orch, seeds: str, config: str = "x: 0", name: str = "study.yaml") -> Path:
    """Returns a study's file."""
    return orch.study(STUDY.replace("SEEDS", seeds).replace("CONFIG", config), name)


def counted(orch: Orch) -> dict[str, tuple[int, float]]:
    """Returns row -> seeds and half-width of its interval, as the table has them."""
    (table,) = orch("table", "adaptive", "--json").json["tables"]
    return {
        labels[0]: (entry["n"], (entry["interval"][1] - entry["interval"][0]) / 2)
        for labels, (entry,) in zip(table["rows"], table["entries"], strict=True)
    }


def by_hand(x: float) -> tuple[int, float]:
    """Returns the first number of seeds whose interval is narrow enough, and how wide it is."""
    for n in range(3, 10):
        values = [value(x, seed, 3) for seed in range(n)]
        mean = sum(values) / n
        error = math.sqrt(sum((each - mean) ** 2 for each in values) / (n - 1) / n)
        half = float(stats.t.ppf(1 - 0.025 / LOOKS, n - 1)) * error
        if half <= 0.3:
            break
    return n, half


def close(found: tuple[int, float], wanted: tuple[int, float]) -> bool:
    """Returns whether two counts agree, up to rounding of the widths."""
    return found[0] == wanted[0] and math.isclose(found[1], wanted[1], rel_tol=1e-9)


def test_each_cell_gets_the_seeds_that_it_needs(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = study(orch, WIDE)
    planned = orch("plan", file, "--json").json
    assert planned["counts"]["trainings"] == 4 * 3
    assert any("3 to 9 seeds a cell" in note for note in planned["notes"])
    done = orch("submit", file)
    assert "hold for all 7 looks" in " ".join(done.out.split())
    found = counted(orch)
    wanted = {str(x): by_hand(float(x)) for x in (1, 2, 3, 4)}
    assert all(close(found[x], wanted[x]) for x in wanted), (found, wanted)
    assert len({n for n, _ in wanted.values()}) > 1  # a rule that gave all the same would show nothing here
    # What joins networks has the seeds that all of them have.
    assert found["all"][0] == min(n for n, _ in wanted.values())
    again = orch("submit", file, "--json").json
    assert (again["trained"], again["evaluated"]) == (0, 0)
    assert orch("status", "adaptive", "--json").json["studies"][0]["status"] == "done"


@pytest.mark.slow
def test_results_of_later_seeds_that_are_there_already_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    fresh, stocked = Orch(directory=tmp_path / "a"), Orch(directory=tmp_path / "b")
    fresh("submit", study(fresh, WIDE))
    stocked("submit", study(stocked, "9", name="all.yaml"))
    again = stocked("submit", study(stocked, WIDE), "--json").json
    assert again["trained"] == 0
    assert counted(stocked) == counted(fresh)
    # `--seeds` says which, and the rule is off.
    stocked("submit", study(stocked, WIDE), "--seeds", "4")
    assert {n for n, _ in counted(stocked).values()} == {4}


def test_seeds_go_to_the_cells_of_a_claim_that_is_open(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    orch("submit", study(orch, "{min: 2, max: 12, step: 2, until: {claim: larger}}"))
    (claim,) = orch("claims", "adaptive", "--json").json["claims"]
    assert claim["verdict"] == "holds"
    assert "p of all 6 looks" in claim["rule"]
    found = counted(orch)
    assert found["3"][0] == found["4"][0] == 2  # no part of the claim
    for x, evidence in zip((1.0, 2.0), claim["evidence"], strict=True):
        # The contrast is the error itself: 3 times it minus 2 times it.
        for n in range(2, 13, 2):
            p = float(stats.ttest_1samp([value(x, s, 3) for s in range(n)], 0, alternative="greater").pvalue)
            if 6 * p < 0.05:
                break
        assert (evidence["n"], found[f"{x:g}"][0]) == (n, n)
        assert math.isclose(evidence["p"], 6 * p, rel_tol=1e-9)
    assert found["1"][0] != 2 or found["2"][0] != 2


@pytest.mark.slow
def test_a_driver_that_dies_while_seeds_are_added_is_followed_by_one_that_ends_alike(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    trace = tmp_path / "trace"
    killed, whole = Orch(directory=tmp_path / "a"), Orch(directory=tmp_path / "b")
    file = study(killed, WIDE, f"step_s: 0.02, trace: {trace}")
    with killed.start("submit", file) as driver:
        # More than the first three seeds of four cells, three steps each: some have been added.
        until(lambda: trace.exists() and len(trace.read_text().splitlines()) > 40, what="added seeds")
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    killed("resume", "adaptive")
    whole("submit", study(whole, WIDE))
    assert counted(killed) == counted(whole)
    assert orch_damage(killed) == []


def orch_damage(orch: Orch) -> list[Any]:
    """Returns what `orch fsck` finds."""
    return list(orch("fsck", "--json").json["damage"])


@pytest.mark.slow
def test_mlflow_shows_the_seeds_that_were_added(tmp_path: Path) -> None:
    import mlflow

    address = f"sqlite:///{tmp_path}/mlflow.db"
    orch = Orch(directory=tmp_path, environment={"ORCH_MLFLOW_URI": address})
    done = orch("submit", study(orch, WIDE), "--json").json
    assert (done["unmirrored"], done["trained"] > 4 * 3) == (0, True)
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name("orch/adaptive")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    kinds = [run.data.tags["orch.kind"] for run in runs]
    votes = sum(each["evaluation"] == "vote" for each in orch("show", "adaptive", "--json").json["trials"])
    assert (kinds.count("training"), kinds.count("gather")) == (done["trained"], votes)
    assert {run.info.status for run in runs} == {"FINISHED"}
