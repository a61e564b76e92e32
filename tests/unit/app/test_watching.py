"""How fast a study goes: by what ended lately, and not by what ended before a break."""

from __future__ import annotations

import pytest

from orchestrator.app.watching import eta, lately
from orchestrator.model.plan import Stage
from orchestrator.model.watch import Ended


def ended(stage: Stage, at: float, seconds: float) -> Ended:
    return Ended(stage=stage, started_at=at - seconds, ended_at=at, seconds=seconds)


def test_a_break_ends_what_is_lately() -> None:
    now = [ended("train", 1000.0 - 10 * n, 10.0) for n in range(5)]
    before = [ended("train", 500.0 - 10 * n, 10.0) for n in range(5)]
    assert lately([*now, *before]) == now
    assert lately([ended("train", 1000.0, 400.0), *before])[1:] == before  # one long trial is no break
    assert lately([]) == []


def test_what_is_left_takes_as_long_as_its_like() -> None:
    # Two at once for 100 s: ten trainings of 20 s; then evaluations of 1 s.
    recent = [ended("train", 20.0 + 20.0 * (n // 2), 20.0) for n in range(10)]
    recent += [ended("evaluate", 100.0, 1.0)]
    assert eta(recent, {"train": 4}) == pytest.approx(4 * 20 / 2.01)
    assert eta(recent, {"train": 4, "evaluate": 8}) == pytest.approx((4 * 20 + 8) / 2.01)
    assert eta(recent, {}) == 0
    assert eta(recent[:1], {"train": 4}) is None  # one says nothing
    assert eta(recent[10:] * 2, {"train": 1}) is None  # nothing is known of trainings
