"""Which seeds of a cell are trained as one network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from orchestrator.model.fusing import Verdict, pace_of
from orchestrator.model.plan import Resources, TrialKey
from orchestrator.study.fusing import Known, Row, grouped, widest_group
from workloads.api import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    width: int = 1
    dropout: bool = False


SPEC = Spec(
    name="w",
    version=1,
    config=Config,
    metrics={},
    runtime="w:W",
    unfused=lambda config: "each network drops other values" if config.dropout else None,
)


def row(name: str, seeds: int, **fields: Any) -> Row:
    config = Config(**{key: value for key, value in fields.items() if key in ("width", "dropout")})
    others = {key: value for key, value in fields.items() if key in ("resources", "searched")}
    keys = [TrialKey(f"{name}{seed}") for seed in range(seeds)]
    return Row(name=name, config=config, keys=keys, **{"resources": Resources(), **others})


def sizes(found: dict[TrialKey, str]) -> list[int]:
    groups = list(found.values())
    return sorted(groups.count(each) for each in set(groups))


def verdict(row: Row, replicas: int, *, fused: bool) -> dict[str, Verdict]:
    pace = pace_of(SPEC, row.config, replicas=replicas, resources=row.resources)
    return {
        pace: Verdict(
            pace=pace,
            fused=fused,
            replicas=replicas,
            alone_ms=8.0,
            together_ms=16.0 if fused else 40.0,
            device="a CPU",
        )
    }


def test_so_many_seeds_together_in_the_order_written() -> None:
    found, notes = grouped([row("a", 5), row("b", 1)], 2, SPEC)
    assert found == {"a0": "fused-a0", "a1": "fused-a0", "a2": "fused-a2", "a3": "fused-a2"}
    assert not notes
    assert grouped([row("a", 5)], "never", SPEC) == ({}, [])


def test_what_cannot_be_fused_says_why() -> None:
    rows = [
        row("a", 2, dropout=True),
        row("b", 2, dropout=True),
        row("c", 2, resources=Resources(gpu=2)),
        row("d", 2, searched=True),
    ]
    found, notes = grouped(rows, 2, SPEC)
    assert found == {}
    assert notes == [
        "not fused: each network drops other values: a and b",
        "not fused: its trainings have several GPUs each: c",
        "not fused: a search decides what is trained: d",
    ]


def test_auto_waits_for_a_measurement_and_then_follows_it() -> None:
    cell = row("a", 4)
    found, notes = grouped([cell], "auto", SPEC)
    pace = pace_of(SPEC, cell.config, replicas=4, resources=Resources())
    assert found == dict.fromkeys(cell.keys, f"undecided-{pace}-a0")
    assert notes == ["fuse: auto, measured by the first worker that comes to them: a"]
    found, notes = grouped([cell], "auto", SPEC, Known(verdicts=verdict(cell, 4, fused=True)))
    assert found == dict.fromkeys(cell.keys, "fused-a0")
    assert "fused: 4 seeds together were 2 times as fast" in notes[0]
    found, notes = grouped([cell], "auto", SPEC, Known(verdicts=verdict(cell, 4, fused=False)))
    assert found == {}
    assert notes[0].startswith("not fused: 4 seeds together were 0.8 times as fast")
    # of another architecture, or of another class, nothing is known
    other = row("a", 4, width=2)
    found, _ = grouped([other], "auto", SPEC, Known(verdicts=verdict(cell, 4, fused=True)))
    assert all(group.startswith("undecided-") for group in found.values())
    known = verdict(replace(cell, resources=Resources(gpu=1)), 4, fused=True)
    assert set(grouped([cell], "auto", SPEC, Known(verdicts=known))[0].values()) == {f"undecided-{pace}-a0"}


def test_auto_keeps_the_groups_of_what_was_begun() -> None:
    cell = row("a", 4)
    recorded = {TrialKey("a0"): "fused-x", TrialKey("a1"): "fused-x", TrialKey("a2"): ""}
    found, _ = grouped([cell], "auto", SPEC, Known(recorded=recorded))
    assert found == {"a0": "fused-x", "a1": "fused-x"}


@pytest.mark.parametrize(
    ("seeds", "slots", "expected"),
    [
        ([3], None, [3]),
        ([8], 1, [4, 4]),
        ([8], 2, [4, 4]),
        ([4], 2, [2, 2]),  # four in one slot would leave the other idle
        ([2], 2, []),
        ([3], 2, [2]),
        ([3, 3, 3, 3], 2, [3, 3, 3, 3]),
        ([3, 3, 3], 2, [2, 2, 2]),
        ([5], 1, [2, 3]),  # of about the same size
        ([1, 1], 2, []),
    ],
)
def test_groups_leave_no_slot_idle(seeds: list[int], slots: int | None, expected: list[int]) -> None:
    rows = [row(f"{number}-", count) for number, count in enumerate(seeds)]
    assert (
        sizes(
            grouped(rows, "auto", SPEC, Known(machine=None if slots is None else {"cpus": slots, "gpus": 0}))[
                0
            ]
        )
        == expected
    )


def test_gpus_take_more_seeds() -> None:
    assert widest_group([16], 1, gpu=True) == 8
