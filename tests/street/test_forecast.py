"""What `orch plan` says a study will cost, beside what it then costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.forecast import forecast, told
from orchestrator.model.forecast import Past
from orchestrator.model.plan import Plan, Resources, Trial, TrialKey
from tests.street.orch import ROOT, Orch

# Asleep rather than busy: then what else the machine does hardly matters.
STUDY = """
api_version: 1
study: priced
workload: tests.toy_workload:SPEC
design:
  type: factorial
  factors:
    size:
      levels:
        small: {x: 1, steps: 2, step_s: 0.02}
        large: {x: 2, steps: 10, step_s: 0.02}
seeds: SEEDS
evaluate: {scaled: {family: scale, vary: {by: {levels: [2], otherwise: one}}}}
"""


def spent_s(orch: Orch, study: str, first: int) -> float:
    """Returns the seconds of all attempts of seeds from `first` on."""
    total = 0.0
    for each in orch("show", study, "--json").json["trials"]:
        if each["seed"] >= first:
            for attempt in orch("show", each["trial"], "--json").json["attempts"]:
                total += attempt["ended_at"] - attempt["started_at"]
    return total


def cost(orch: Orch, file: Path, *arguments: object) -> dict[str, Any]:
    return dict(orch("plan", file, *arguments, "--json").json["cost"])


def test_after_one_seed_the_others_are_forecast(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = orch.study(STUDY.replace("SEEDS", "3"))
    before = cost(orch, file)
    assert (before["trials"], before["unknown"], before["cpu_s"]["mid"]) == (12, 12, 0.0)
    assert "not known" in orch("plan", file).out
    orch("submit", file, "--seeds", "1")
    found = cost(orch, file)
    assert (found["trials"], found["alike"], found["near"], found["unknown"]) == (8, 8, 0, 0)
    # Two further seeds of 2 and 10 steps of 20 ms, and little else; one after another.
    assert 0.48 <= found["cpu_s"]["mid"] <= 2 * 0.48 + 1.0
    assert found["cpu_s"]["low"] < found["cpu_s"]["mid"] < found["cpu_s"]["high"]
    assert found["wall_s"] == found["cpu_s"]
    assert "by past trials of the same config" in " ".join(orch("plan", file).out.split())
    orch("submit", file)
    assert found["cpu_s"]["mid"] / 2 <= spent_s(orch, "priced", 1) <= found["cpu_s"]["mid"] * 2
    assert cost(orch, file)["trials"] == 0
    assert "cost:" not in orch("plan", file).out


@pytest.mark.slow
def test_digits_are_forecast_within_a_factor_of_two(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = ROOT / "studies" / "dfn_ensemble.yaml"
    short = ("--cells", "depth=14", "--set", "network.width=0.125", "--set", "epochs=2")
    orch("submit", file, *short, "--seeds", "1")
    found = cost(orch, file, *short, "--seeds", "3")
    orch("submit", file, *short, "--seeds", "3")
    spent = spent_s(orch, "dfn_ensemble", 1)
    assert found["cpu_s"]["mid"] / 2 <= spent <= found["cpu_s"]["mid"] * 2, (found, spent)


def planned(*trials: Trial) -> Plan:
    return Plan(study="s", cells=(), dimensions=(), trials={t.key: t for t in trials}, assignments=())


def training(name: str, x: int, **more: Any) -> Trial:
    return Trial(key=TrialKey(name), stage="train", workload="w", config={"x": x}, **more)


def test_shares_of_devices_and_slots_are_counted() -> None:
    past = [Past(stage="train", workload="w", config={"x": x}, seconds=s) for x, s in ((1, 10.0), (2, 100.0))]
    half = Resources(cpu=2, gpu=0.5)
    plan = planned(
        *(training(f"a{n}", 1, resources=half) for n in range(8)), training("b", 2, resources=half)
    )
    found = forecast(plan, set(plan.trials), past, slots={"cpus": 8, "gpus": 1})
    assert (found.cpu_s.mid, found.gpu_s.mid) == (2 * 180, 0.5 * 180)
    assert found.slots == 2
    assert found.wall_s is not None
    assert found.wall_s.mid == 100  # not 90: the longest takes so long alone
    assert forecast(plan, set(plan.trials), past, slots=None).wall_s is None
    assert forecast(plan, set(plan.trials), past, slots={"cpus": 8, "gpus": 0}).wall_s is None
    one = forecast(plan, set(plan.trials), past, slots={"cpus": 8, "gpus": 1, "most": 1})
    assert one.wall_s is not None
    assert one.wall_s.mid == 180


def test_what_is_not_known_is_said() -> None:
    past = [Past(stage="train", workload="w", config={"x": 1}, seconds=4.0)]
    strange = Trial(key=TrialKey("e"), stage="evaluate", workload="w", family="f", parents=(TrialKey("a"),))
    plan = planned(training("a", 1), training("c", 3), strange)
    found = forecast(plan, set(plan.trials), past, slots=None)
    assert (found.alike, found.near, found.unknown, found.cpu_s.mid) == (1, 1, 1, 8.0)
    assert found.cpu_s.low == pytest.approx(4 / 1.25 + 4 / 2.5)
    assert "1 not counted" in told(found)[0]
