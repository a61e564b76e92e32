"""What trials are expected to take."""

from __future__ import annotations

import pytest

from orchestrator.driver.progress import RECENT, Meter
from orchestrator.model.plan import Resources, Trial, TrialKey


def training(label: str) -> Trial:
    return Trial(
        key=TrialKey(label),
        stage="train",
        workload="w@1",
        config={},
        seed=0,
        resources=Resources(),
        label=label,
    )


def test_a_trial_takes_as_long_as_its_other_seeds_or_as_its_stage() -> None:
    meter = Meter()
    assert meter.expected_s(training("a seed 0")) is None
    for label, duration_s in (("a seed 0", 1.0), ("a seed 1", 3.0), ("b seed 0", 8.0)):
        meter.finished(training(label), duration_s)
    assert meter.expected_s(training("a seed 2")) == 2.0
    assert meter.expected_s(training("b seed 2")) == 8.0
    assert meter.expected_s(training("c seed 0")) == 4.0
    assert meter.trained == 3


def test_the_recent_ones_forget_the_first() -> None:
    meter = Meter()
    assert meter.recent_s("train") is None
    for number in range(RECENT + 5):
        meter.finished(training("a seed 0"), 100.0 if number < 5 else 1.0)
    assert meter.recent_s("train") == pytest.approx(1.0)
    assert meter.recent_s("evaluate") is None
