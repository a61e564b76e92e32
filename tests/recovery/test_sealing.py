"""Killed while large checkpoints are sealed beside their trainings, a study ends as if undisturbed."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from tests.street.orch import Orch, until

# 12 MiB: some 40 ms of digests and a sync for every step of 20 ms, so that one is nearly always on its way.
STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config: {steps: 12, step_s: 0.02, ballast_kb: 12288, trace: TRACE}
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2]}}
seeds: 1
tables: {errors: {rows: x, metric: test_error}}
"""
KILLS = 4


@pytest.mark.slow
def test_kill_9_while_it_is_sealed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    orch = Orch(directory=tmp_path, environment={"ORCH_CHECKPOINT_INTERVAL_S": "0.001"})
    file = orch.study(STUDY.replace("TRACE", str(trace)))
    chance = random.Random(20)
    unfinished = 0

    def steps() -> int:
        return len(trace.read_text().splitlines()) if trace.exists() else 0

    for _ in range(KILLS):
        goal = steps() + chance.randint(2, 5)
        with orch.start("submit", file) as driver:
            until(lambda goal=goal: steps() >= goal, what="a step")  # type: ignore[misc]
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
        unfinished += len(list((tmp_path / "store" / "checkpoints").glob("*/.tmp-*")))
        assert orch("fsck", "--json").json["damage"] == []
    assert unfinished > 0, "no kill found a checkpoint on its way: the test shows nothing"
    assert orch("submit", file, "--json").json["counts"]["succeeded"] == 2
    # Only steps since the last durable checkpoint are done again: a few for each kill.
    assert steps() <= 2 * 12 + KILLS * 4
    csv = orch("table", "demo", "--format", "csv").out
    (tmp_path / "b").mkdir()
    undisturbed = Orch(directory=tmp_path / "b")
    undisturbed("submit", undisturbed.study(file.read_text()))
    assert csv == undisturbed("table", "demo", "--format", "csv").out
    assert orch("fsck", "--json").json["damage"] == []
    orch("gc", "--grace", "0", "--delete")
    assert not list((tmp_path / "store").rglob(".tmp-*"))
