"""The driver is killed at random moments, again and again, until the study is done.

By default a dozen times; with ORCH_SWEEP=all (`make recovery`) 500 times. ORCH_SEED repeats a sequence.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.invariants import assert_invariants, finished
from tests.recovery.nursery import Fault, every, memory, warm
from tests.recovery.small_study import at, go_on, undisturbed

__all__ = ["memory"]
KILLS = 500 if every() else 12
LIVES = 12  # of one study: after so many deaths it is left in peace


@pytest.mark.slow
def test_killed_at_random_moments_until_it_is_done(memory: Path) -> None:
    seed = int(os.environ.get("ORCH_SEED") or random.SystemRandom().randrange(10**6))
    print(f"ORCH_SEED={seed}")  # shown with a failure
    choice = random.Random(seed)
    expected = undisturbed()
    kills = studies = 0
    while kills < KILLS:
        orch = at(memory / str(studies))
        before: dict[str, Any] = {}
        for _ in range(LIVES):
            recorded = (orch.directory / "store").exists() and orch("status", "demo", code=None).code == 0
            # Half of the moments are steps, and so the same in every repetition; the others lie anywhere.
            if choice.random() < 0.5:
                fault = Fault(step=choice.randint(1, expected.steps))
            else:
                fault = Fault(after_s=choice.uniform(0.02, 1.1) * expected.seconds)
            command = ("resume", "demo") if recorded else ("submit", "study.yaml")
            ended = warm()(orch, *command, fault=fault)
            assert ended.killed or ended.code == 0, f"study {studies}, {fault}: {ended}"
            if not ended.killed:
                break
            kills += 1
            before = finished(orch, "demo") | before  # as it was when it was first seen
        go_on(orch)
        try:
            assert_invariants(orch, "demo", expected.golden, before=before)
        except AssertionError as error:
            raise AssertionError(f"ORCH_SEED={seed}, study {studies}: {error}") from error
        shutil.rmtree(orch.directory)
        studies += 1
    print(f"{kills} kills, {studies} studies, 0 violations")
