"""A budget: what it lets begin, how it ends, and that nothing of it is lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.driver.progress import Meter
from orchestrator.driver.purse import Purse
from orchestrator.model.budget import Budget
from orchestrator.model.plan import Resources, Trial, TrialKey
from tests.street.orch import Orch

STUDY = """
api_version: 1
study: thrift
workload: tests.toy_workload:SPEC
config: {steps: 4, step_s: 0.05}
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2, 3]}}
seeds: 3
evaluate: {scaled: {family: scale, vary: {by: {levels: [2], otherwise: one}}}}
BUDGET
tables: {errors: {rows: x, metric: test_error}}
"""


def study(orch: Orch, budget: str, step_s: float = 0.05) -> Path:
    text = STUDY.replace("BUDGET", budget and f"budget: {budget}")
    return orch.study(text.replace("step_s: 0.05", f"step_s: {step_s}"))


def done(orch: Orch) -> dict[int, int]:
    """Returns seed -> trainings with a result."""
    found: dict[int, int] = {}
    for each in orch("show", "thrift", "--json").json["trials"]:
        if each["evaluation"] == "test" and each["state"] == "succeeded":
            found[each["seed"]] = found.get(each["seed"], 0) + 1
    return found


def test_a_third_of_the_budget_is_the_first_seed_of_every_cell(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    # A training sleeps for 1.2 s. The third begins if a busy machine adds no more than 1.1 s to each of two.
    file = study(orch, f"{{device_hours: {4.7 / 3600}}}", 0.3)
    assert "past which nothing more is begun" in orch("plan", file).out
    ended = orch("submit", file, code=6)
    assert "takes it past the budget" in " ".join(ended.out.split())
    found = done(orch)
    assert found.get(0) == 3
    assert sum(found.values()) <= 4  # at most what ran has been overrun
    assert orch("table", "thrift", "--json").json["tables"][0]["entries"][0][0]["n"] >= 1
    assert orch("status", "thrift", "--json").json["studies"][0]["status"] == "interrupted"
    # It is spent: a resume begins nothing more.
    assert orch("resume", "thrift", "--json", code=6).json["trained"] == 0
    more = orch("submit", study(orch, "{device_hours: 1, wall: 1, disk_gb: 1}", 0.3), "--json").json
    assert more["trained"] == 9 - sum(found.values())
    assert done(orch) == {0: 3, 1: 3, 2: 3}


@pytest.mark.parametrize(
    ("budget", "said"),
    [(f"{{wall: {0.5 / 3600}}}", "wall time of 0.5 s is over"), ("{disk_gb: 0.0000001}", "GB of 1e-07 GB")],
)
def test_time_and_disk_are_limits_too(tmp_path: Path, budget: str, said: str) -> None:
    orch = Orch(directory=tmp_path)
    ended = orch("submit", study(orch, budget), code=6)
    assert said in " ".join(ended.out.split())
    assert 0 < sum(done(orch).values()) < 9


@pytest.mark.parametrize(
    ("budget", "code", "said"),
    [
        ("{}", "missing-key", "give device_hours"),
        ("{hours: 2}", "unknown-key", "device_hours"),
        ("{wall: 0}", "bad-value", "wall"),
        ("{disk_gb: lots}", "wrong-type", "a number"),
    ],
)
def test_what_is_no_budget_is_told(tmp_path: Path, budget: str, code: str, said: str) -> None:
    orch = Orch(directory=tmp_path)
    (found,) = orch("validate", study(orch, budget), "--json", code=2).json["problems"]
    assert (found["code"], said in found["message"], found["line"] > 1) == (code, True, True), found


@dataclass
class Clock:
    now: float = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def test_the_disk_counts_what_runs_will_leave() -> None:
    clock, meter = Clock(), Meter()
    trials = {
        TrialKey(name): Trial(key=TrialKey(name), stage="train", workload="toy", label=f"c seed {name}")
        for name in "abcd"
    }
    a, b, c, d = trials
    used = 500
    purse = Purse(budget=Budget(disk_bytes=1000), clock=clock, used_bytes=lambda: used)
    assert not purse.closed([a, b], trials, meter)  # nothing is known of what they leave
    meter.finished(trials[a], 1.0)
    clock.now, used = 2.0, 650
    assert not purse.closed([b, c], trials, meter)  # 650, and 150 for each
    clock.now = 4.0
    assert purse.closed([b, c, d], trials, meter)
    assert purse.spent.endswith("and what runs takes it past that")


def test_what_runs_counts_by_what_it_is_expected_to_take() -> None:
    clock, meter = Clock(), Meter()
    kind = Resources(cpu=4, gpu=0.5)
    trials = {
        TrialKey(name): Trial(
            key=TrialKey(name), stage="train", workload="w", label=f"c seed {name}", resources=kind
        )
        for name in "abc"
    }
    a, b, c = trials
    purse = Purse(budget=Budget(device_s=100.0), clock=clock, spent_s=10.0)
    assert not purse.closed([a], trials, meter)  # nothing is known of how long it takes
    purse.started(a)
    clock.now = 60.0
    purse.ended(trials[a])
    meter.finished(trials[a], 60.0)
    assert purse.spent_s == 40.0  # half a GPU for a minute
    assert not purse.closed([b], trials, meter)  # 40 and 30 that are expected
    assert purse.closed([b, c], trials, meter)  # 40, 30 and 30
    assert purse.closed([], trials, meter)  # and so it stays
    assert "100 s" in purse.spent
