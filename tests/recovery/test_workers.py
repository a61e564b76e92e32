"""Workers on Ray die, stand still, run out of memory; trainings with processes of their own are cancelled."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.recovery.invariants import Golden, assert_invariants, golden, reports
from tests.recovery.nursery import Fault, warm
from tests.street.orch import Orch, until

FAULTS = {
    "none": "",
    "save": "kill in save",
    "end": "kill at end",
    "hog": "hog",
    "memory": "memory",
    "stop": "stop",
}
# Each training takes longer than a worker may be silent: slow is not hung.
HANG_S = 4.0
LEVELS = ", ".join(f'{name}: "{fault}"' for name, fault in FAULTS.items())
STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config:
  {steps: 6, step_s: 0.7, fault_at: 4, once: ONCE, children: CHILDREN, trace: TRACE, gate: GATE, gate_at: 3}
design: {type: factorial, factors: {fault: {path: fault, levels: {LEVELS}}}}
seeds: 1
evaluate: {scaled: {family: scale, vary: {by: {levels: [2], otherwise: one}}}}
tables: {errors: {from: [test, scaled], rows: fault, columns: by, metric: test_error}}
"""


def study(directory: Path, *, children: int = 0, gate: str = "", levels: str = LEVELS) -> str:
    once = directory / "once"
    once.mkdir()
    return (
        STUDY.replace("LEVELS", levels)
        .replace("ONCE", f"{once}/")
        .replace("CHILDREN", str(children))
        .replace("TRACE", str(directory / "trace"))
        .replace("GATE", gate or '""')
    )


def undisturbed(directory: Path, orch: Orch, text: str) -> Golden:
    """Returns the run of a study whose faults have all happened, in a process that never sleeps."""
    for fault in FAULTS.values():
        (orch.directory / "once" / f"{fault.replace(' ', '-')}-0").touch()
    directory.mkdir()
    inline = Orch(directory=directory)
    fault = Fault(setup="tests.recovery.soak:no_sleep")
    assert warm()(inline, "submit", inline.study(text), fault=fault).code == 0
    return golden(inline, "demo")


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.slow
def test_what_becomes_of_a_worker_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    environment = {"ORCH_HANG_S": str(HANG_S), "ORCH_CHECKPOINT_INTERVAL_S": "0"}
    orch = Orch(directory=tmp_path / "a", executor="ray", environment=environment)
    text = study(orch.directory)
    orch("submit", orch.study(text))
    expected = undisturbed(tmp_path / "b", orch, text)
    inline = Orch(directory=orch.directory, environment=environment)
    assert_invariants(inline, "demo", expected, before={}, charged=("hung", "out of memory"))
    found = {report["label"]: report for report in reports(inline, expected.trials).values()}
    attempts = {
        name: [each["outcome"] for each in found[f"fault={name} seed 0"]["attempts"]] for name in FAULTS
    }
    assert attempts == {
        "none": ["succeeded"],
        "save": ["lost", "succeeded"],
        "end": ["lost", "succeeded"],
        "hog": ["out of memory", "succeeded"],
        "memory": ["out of memory", "succeeded"],
        "stop": ["hung", "succeeded"],
    }
    steps = {
        name: found[f"fault={name} seed 0"]["attempts"][-1]["provenance"].get("resumed_at_step")
        for name in FAULTS
    }
    # Nothing but the step at work is done again; the last checkpoint may be recorded before the result.
    assert steps.pop("end") in (5, 6)
    assert steps == {"none": None, "save": 3, "hog": 3, "memory": 3, "stop": 3}
    stopped = found["fault=stop seed 0"]["attempts"][0]["worker"]["pid"]
    assert gone(stopped), "a worker that was given up is still there"


@pytest.mark.slow
def test_cancelled_trainings_leave_no_process_and_run_only_when_asked_to(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    orch = Orch(directory=tmp_path / "a", executor="ray")
    levels = 'none: "", deaf: "deaf"'
    text = study(orch.directory, children=2, gate=str(orch.directory / "gate"), levels=levels)
    text = text.replace("step_s: 0.7", "step_s: 0.01").replace("fault_at: 4", "fault_at: 2")
    file = orch.study(text)
    inline = Orch(directory=orch.directory)

    def children() -> list[int]:
        trace = orch.directory / "trace"
        lines = trace.read_text().splitlines() if trace.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith("child")]

    with orch.start("submit", file) as driver:
        until(lambda: len(children()) == 4 and (orch.directory / "once" / "deaf-0").exists(), what="both")
        began = time.monotonic()
        inline("cancel", "demo", "--cells", "fault=deaf")
        until(lambda: all(gone(pid) for pid in pids_of(inline, "deaf")), what="the deaf worker's end")
        assert not gone(pids_of(inline, "none")[0]), "its neighbour was ended as well"
        until(lambda: sum(gone(pid) for pid in children()) >= 2, timeout_s=60, what="its children's end")
        inline("cancel", "demo")
        driver.communicate(timeout=60)
        assert driver.returncode == 0
        until(lambda: all(gone(pid) for pid in children()), what="every child's end")
        assert time.monotonic() - began < 120
    states = {each["state"] for each in inline("show", "demo", "--json").json["trials"]}
    assert states == {"cancelled"}
    (orch.directory / "gate").touch()
    assert inline("resume", "demo", "--json").json["trained"] == 0
    inline("resume", "demo", "--include-cancelled")
    (tmp_path / "b").mkdir()
    other = Orch(directory=tmp_path / "b")
    other("submit", other.study(text))
    assert_invariants(inline, "demo", golden(other, "demo"), before={})


def pids_of(orch: Orch, fault: str) -> list[int]:
    """Returns the workers that a training has had."""
    shown = orch("show", "demo", "--json").json["trials"]
    keys = {
        each["trial"] for each in shown if each["cell"] == f"fault={fault}" and each["evaluation"] == "test"
    }
    found = reports(orch, keys).values()
    return [each["worker"]["pid"] for report in found for each in report["attempts"] if each["worker"]]
