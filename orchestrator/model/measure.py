"""How a store stands at one moment, in numbers, for monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.model.plan import State


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyMeasures:
    """How one study stands.

    Attributes:
        trials: (stage, state) -> number of the trials that it needs, parents too.
        failures: Cause -> number of attempts at them that ended so.
        results: Stage -> number of attempts that gave a result, and the seconds that they took.
        submitted_at: Seconds since the epoch of the last submission.
        result_at: Seconds since the epoch of the newest result, None before the first.
        lease_age_s: How long its live driver has driven it, None without one.
        lease_left_s: In how many seconds that driver is given up unless it renews its lease.
        outbox: Items that the mirror has yet to show.
    """

    trials: Mapping[tuple[str, State], int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    submitted_at: float = 0.0
    result_at: float | None = None
    lease_age_s: float | None = None
    lease_left_s: float | None = None
    outbox: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """How a store stands.

    Attributes:
        studies: Name -> how it stands; every study that was ever submitted.
        parts: Number and bytes of the listed parts.
        checkpoints: Number and bytes of the recorded checkpoints.
    """

    studies: Mapping[str, StudyMeasures]
    parts: tuple[int, int] = (0, 0)
    checkpoints: tuple[int, int] = (0, 0)
