"""What `orch plan` says a study will cost, beside what it then costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app import forecast as app
from orchestrator.app.forecast import forecast
from orchestrator.app.pricing import Judge
from orchestrator.app.stores import Stores
from orchestrator.console.forecast import told
from orchestrator.model.forecast import Past
from orchestrator.model.plan import Plan, Resources, Trial, TrialKey
from orchestrator.settings import Settings
from tests.street.orch import ROOT, Orch
from workloads.api import Cost, Work

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
        small: {x: 1, steps: 2, step_s: 0.1}
        large: {x: 2, steps: 10, step_s: 0.1}
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
    # Two further seeds of 2 and 10 steps of 0.1 s, and little else; one after another.
    assert 2.4 <= found["cpu_s"]["mid"] <= 2 * 2.4
    assert found["cpu_s"]["low"] < found["cpu_s"]["mid"] < found["cpu_s"]["high"]
    assert found["wall_s"] == found["cpu_s"]
    assert "by past trials of the same config" in " ".join(orch("plan", file).out.split())
    orch("submit", file)
    assert found["cpu_s"]["mid"] / 2 <= spent_s(orch, "priced", 1) <= found["cpu_s"]["mid"] * 2
    assert cost(orch, file)["trials"] == 0
    assert "cost:" not in orch("plan", file).out


def test_after_one_cell_the_others_follow_from_what_there_is_to_compute(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = orch.study(STUDY.replace("SEEDS", "2"))
    orch("submit", file, "--cells", "size=small", "--seeds", "1")
    found = cost(orch, file)
    # A training of the same config and its evaluations; two of five times the steps, and two evaluations.
    assert (found["alike"], found["counted"], found["near"], found["unknown"]) == (2, 4, 0, 0)
    assert "beside others on that machine" in " ".join(orch("plan", file).out.split())
    before = spent_s(orch, "priced", 0)
    orch("submit", file)
    assert found["cpu_s"]["mid"] / 3 <= spent_s(orch, "priced", 0) - before <= found["cpu_s"]["mid"] * 3
    assert found["cpu_s"]["mid"] >= (2 + 2 * 10) * 0.1


def stored_bytes(orch: Orch) -> int:
    return sum(
        path.stat().st_size
        for folder in ("results", "checkpoints")
        for path in (orch.directory / "store" / folder).rglob("*")
        if path.is_file() and path.name != "digests.json"
    )


def test_what_is_kept_is_forecast_and_compared_with_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orch = Orch(directory=tmp_path)
    text = STUDY.replace("SEEDS", "3").replace("evaluate:", "config: {ballast_kb: 500}\nevaluate:")
    file = orch.study(text)
    before = cost(orch, file)  # nothing has run: by what a checkpoint holds
    orch("submit", file, "--seeds", "1")
    one = stored_bytes(orch)
    assert one > 2 * 500 * 1024
    assert before["disk_bytes"]["low"] < 3 * one < before["disk_bytes"]["high"]
    assert before["free_bytes"] > 0
    found = cost(orch, file)
    assert (found["disk_bytes"]["mid"], found["disk_unknown"]) == (pytest.approx(2 * one, rel=0.02), 0)
    told_so = " ".join(orch("plan", file).out.split())
    assert "disk: about 2.1 MB (2 to 2.2)" in told_so
    assert " free" in told_so
    with monkeypatch.context() as full:
        full.setattr(Stores, "free_bytes", lambda stores: 1_000_000)
        assert "the store has 1 MB free, which is too little" in " ".join(orch("plan", file).out.split())
    orch("submit", file)
    assert stored_bytes(orch) == pytest.approx(3 * one, rel=0.02)


def test_a_search_costs_its_candidates(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    search = "search: {space: {spin_s: {low: 0.01, high: 0.02}}, trials: 6, metric: error, sampler: random}"
    file = orch.study(STUDY.replace("SEEDS", "1").replace("evaluate:", f"{search}\nevaluate:"))
    found = cost(orch, file)
    assert (found["trials"], found["unknown"]) == (2 * 6 + 4, 16)


@pytest.mark.slow
def test_another_depth_of_digits_is_forecast_within_a_factor_of_three(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = ROOT / "studies" / "dfn_ensemble.yaml"
    short = ("--set", "network.width=0.125", "--set", "epochs=2", "--seeds", "1")
    orch("submit", file, *short, "--cells", "depth=14")
    before = spent_s(orch, "dfn_ensemble", 0)
    found = cost(orch, file, *short)
    assert found["counted"] > 10
    assert found["near"] == 0
    orch("submit", file, *short)
    spent = spent_s(orch, "dfn_ensemble", 0) - before
    assert found["cpu_s"]["mid"] / 3 <= spent <= found["cpu_s"]["mid"] * 3, (found, spent)
    assert found["cpu_s"]["low"] <= spent <= found["cpu_s"]["high"]


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


class Counting:
    def cost(self, workload: str, config: Mapping[str, Any]) -> Cost | None:
        """Returns x operations, each of y FLOPs."""
        x, y = float(config["x"]), float(config.get("y", 1))
        if x > 100:
            return None
        work = Work(flops=x * y, operations=x)
        return Cost(train=work, test=work)

    def checkpoint_bytes(self, workload: str, config: Mapping[str, Any]) -> float | None:
        return 1e6


def test_what_is_computed_decides_between_configs() -> None:
    past = [
        Past(stage="train", workload="w", config={"x": 1, "y": 1}, seconds=10.0, host="here"),
        Past(stage="train", workload="w", config={"x": 10, "y": 1}, seconds=90.0, host="here"),
        Past(stage="train", workload="w", config={"x": 3, "y": 1}, seconds=5000.0, host="there"),
    ]

    def of(
        config: dict[str, Any], host: str | None = "here"
    ) -> tuple[str, tuple[float, float, float] | None]:
        trial = Trial(key=TrialKey("a"), stage="train", workload="w", config=config)
        price = Judge(past, counting=Counting(), host=host, interval_s=30).of(trial, {})
        span = price.time_s
        return price.how, span and (span.low, span.mid, span.high)

    assert of({"x": 10, "y": 1}) == ("alike", (pytest.approx(72), 90, pytest.approx(112.5)))
    assert of({"x": 20, "y": 1}) == ("counted", (90, 180, 360))  # from the nearest
    # Four times the FLOPs of each operation: as long, or four times as long.
    assert of({"x": 1, "y": 16}) == ("counted", (10, 40, 160))
    assert of({"x": 3, "y": 1})[1] == pytest.approx((15, 30, 60))  # what another machine took says nothing
    assert of({"x": 3, "y": 1}, host=None)[1] == pytest.approx((4000, 5000, 6250))
    assert of({"x": 101, "y": 1})[0] == "near"  # it cannot be counted
    big = [replace(each, resources=Resources(cpu=8)) for each in past]
    trial = Trial(key=TrialKey("a"), stage="train", workload="w", config={"x": 2, "y": 1})
    assert Judge(big, counting=Counting(), host="here", interval_s=30).of(trial, {}).how == "near"


def test_a_cluster_has_room_for_what_runs_at_once() -> None:
    past = [Past(stage="train", workload="w", config={"x": 1}, seconds=10.0)]
    plan = planned(*(training(f"a{n}", 1, resources=Resources(cpu=64, gpu=8)) for n in range(8)))
    machine = app.machine_of(Settings(executor="ray", ray_address="10.0.0.1:6379", max_concurrent=4))
    found = forecast(plan, set(plan.trials), past, slots=machine)
    assert (found.slots, found.wall_s and found.wall_s.mid) == (4, 20)
    unknown = app.machine_of(Settings(executor="ray", ray_address="10.0.0.1:6379"))
    said = told(forecast(plan, set(plan.trials), past, slots=unknown))
    assert "how many run at once is not known" in said[0]


def test_what_is_not_known_is_said() -> None:
    past = [Past(stage="train", workload="w", config={"x": 1}, seconds=4.0)]
    strange = Trial(key=TrialKey("e"), stage="evaluate", workload="w", family="f", parents=(TrialKey("a"),))
    plan = planned(training("a", 1), training("c", 3), strange)
    found = forecast(plan, set(plan.trials), past, slots=None)
    assert (found.alike, found.near, found.unknown, found.cpu_s.mid) == (1, 1, 1, 8.0)
    assert found.cpu_s.low == pytest.approx(4 / 1.25 + 4 / 2.5)
    assert "1 not counted" in told(found)[0]
