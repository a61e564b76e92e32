"""A step of a submission fails as on a full or failing disk: one clear message, and `orch resume` ends alike.

Python's steps are made to raise; where strace is on the machine, the kernel's calls fail as well, which also
reaches what the database library writes by itself.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.recovery.invariants import assert_invariants, finished
from tests.recovery.nursery import Ended, Fault, every, memory, spread, warm
from tests.recovery.small_study import at, go_on, undisturbed

__all__ = ["memory"]
FEW = 3
KINDS = [("ENOSPC", True), ("EIO", False)]  # a full disk stays full


def told(ended: Ended, kind: str) -> None:
    """Checks that a command said what is wrong, or came to its end in spite of it."""
    assert ended.code in (0, 5), ended
    assert "Traceback" not in ended.err, ended
    if ended.code == 5:
        text = os.strerror(getattr(errno, kind))
        said = (ended.out + ended.err).lower()
        assert text.lower() in said or "disk" in said, ended


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "ever"), KINDS)
def test_a_step_fails(memory: Path, kind: str, ever: bool) -> None:
    expected = undisturbed()
    failed = 0
    for number in spread(expected.steps, FEW):
        orch = at(memory / str(number))
        ended = warm()(orch, "submit", "study.yaml", fault=Fault(kind=kind, step=number, ever=ever))
        told(ended, kind)
        failed += ended.struck and ended.code == 5
        before = finished(orch, "demo")
        go_on(orch)
        assert_invariants(orch, "demo", expected.golden, before=before)
        shutil.rmtree(orch.directory)
    assert failed >= 2, "nearly no step was reached"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="not run here: strace is not on this machine")
@pytest.mark.parametrize(("kind", "ever"), KINDS)
@pytest.mark.parametrize(
    "call", ["fsync", "fdatasync", "pwrite64", "mkdir", "rename"][: None if every() else 3]
)
def test_a_system_call_fails(memory: Path, call: str, kind: str, ever: bool) -> None:
    expected = undisturbed()
    number, failed = 1 if every() else 5, 0
    while True:
        orch = at(memory / str(number))
        fault = Fault(kind=kind, ever=ever, strace=f"{call}:{number}")
        ended = warm()(orch, "submit", "study.yaml", fault=fault)
        told(ended, kind)
        failed += ended.code == 5
        if not ended.struck:
            break
        before = finished(orch, "demo")
        go_on(orch)
        assert_invariants(orch, "demo", expected.golden, before=before)
        shutil.rmtree(orch.directory)
        if not every():
            break
        number += 1
    # The database library passes over some, such as one while it shortens its log.
    assert failed or not every(), "no failure ended the submission"
