"""What every registry does for seeds as one network: measurements, and the groups that follow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import LeaseLostError
from orchestrator.model.fusing import Verdict
from orchestrator.model.run import Started
from orchestrator.registry.registry import SqlRegistry
from tests.contracts.storage_fixtures import (
    key,
    owner,
    place,
    plan_of,
    postgres,
    registry,
    submission,
    training,
)

__all__ = ["place", "postgres", "registry"]
MEASURED = Verdict(
    pace="p", fused=True, replicas=2, alone_ms=1, together_ms=1.5, device="d", host="h", measured_at=2
)


def test_groups_that_are_settled_are_those_of_the_next_claim(registry: SqlRegistry) -> None:
    trials = [training(name, group="undecided-p-a") for name in "ab"]
    registry.record(submission("s"), plan_of("s", *trials, training("c", group="g")))
    lease = registry.acquire("s", owner("d"), 60)
    registry.regroup(lease, {key("a"): "fused-p-a", key("b"): ""})
    claims = registry.claim(lease, [key("a"), key("b"), key("c")])
    assert {claim.trial.key: claim.trial.group for claim in claims} == {
        key("a"): "fused-p-a",
        key("b"): "",
        key("c"): "g",
    }
    registry.regroup(lease, {})
    with pytest.raises(LeaseLostError):
        registry.regroup(replace(lease, epoch=lease.epoch - 1), {key("c"): ""})
    assert registry.trials("s")[key("c")].group == "g"


def test_measurements_come_back_the_newest_last(registry: SqlRegistry) -> None:
    assert registry.verdicts() == []
    registry.record(submission("s"), plan_of("s", *(training(name) for name in "abcd")))
    lease = registry.acquire("s", owner("d"), 60)
    earlier = replace(MEASURED, measured_at=1, fused=False, together_ms=3)
    unmeasured = replace(MEASURED, together_ms=0, alone_ms=0, fused=False, reason="too short")
    found = (MEASURED, earlier, unmeasured, None)
    claims = registry.claim(lease, [key(name) for name in "abcd"])
    started = [
        Started(
            trial=claim.trial.key,
            epoch=claim.epoch,
            worker={"host": "h"} if each is None else {"host": "h", "fusing": each.plain()},
        )
        for claim, each in zip(claims, found, strict=True)
    ]
    registry.commit(lease, started=started)
    assert registry.verdicts() == [earlier, MEASURED]
