"""The driver is killed at every durable step of a submission, one after the other, and resumed each time.

A step is an fsync, a rename, a new or removed name, or a transaction; the kill comes before it, or right
after. By default a few steps of the whole range are tried; with ORCH_SWEEP=all (`make recovery`) all of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.recovery.invariants import assert_invariants, finished
from tests.recovery.nursery import Fault, every, memory, spread, warm
from tests.recovery.small_study import at, go_on, undisturbed

__all__ = ["memory"]
CALLS = ("fsync", "fdatasync", "pwrite64", "rename", "unlink", "ftruncate")
FEW = 5


@pytest.mark.slow
def test_killed_at_any_step_of_a_submission(memory: Path) -> None:
    expected = undisturbed()
    assert expected.steps > 100, "too few steps to mean anything"
    for number in spread(expected.steps, FEW):
        orch = at(memory / str(number))
        ended = warm()(orch, "submit", "study.yaml", fault=Fault(step=number))
        # How many there are differs a little: what comes close together is committed together.
        assert ended.killed or number > 0.9 * expected.steps, f"step {number} was never reached: {ended}"
        before = finished(orch, "demo")
        go_on(orch)
        assert_invariants(orch, "demo", expected.golden, before=before)
        shutil.rmtree(orch.directory)


@pytest.mark.slow
def test_killed_while_it_resumes(memory: Path) -> None:
    """Dies half-way, dies again early in the resume, and again: each time a little further."""
    expected = undisturbed()
    orch = at(memory)
    assert warm()(orch, "submit", "study.yaml", fault=Fault(step=expected.steps // 2)).killed
    for number in range(3, expected.steps // 2 if every() else 11, 2):
        if not warm()(orch, "resume", "demo", fault=Fault(step=number)).killed:
            break
    before = finished(orch, "demo")
    orch("resume", "demo")
    assert_invariants(orch, "demo", expected.golden, before=before)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="not run here: strace is not on this machine")
@pytest.mark.parametrize("call", CALLS if every() else CALLS[:3])
def test_killed_in_a_system_call(memory: Path, call: str) -> None:
    """The kernel's own count: the database library writes without Python's knowledge."""
    expected = undisturbed()
    number, deaths = 1 if every() else 9, 0
    while True:
        orch = at(memory / str(number))
        ended = warm()(orch, "submit", "study.yaml", fault=Fault(strace=f"{call}:{number}"))
        if not ended.killed:
            break
        deaths += 1
        before = finished(orch, "demo")
        go_on(orch)
        assert_invariants(orch, "demo", expected.golden, before=before)
        shutil.rmtree(orch.directory)
        if not every():
            break
        number += 1
    assert deaths
