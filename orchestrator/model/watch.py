"""What somebody who watches asks again and again: has anything changed, and how fast does it go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.plan import Stage, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """A study, or a store, at one moment, in a few numbers.

    Attributes:
        mark: Another text whenever a trial's state, an attempt, the plan or the live driver has changed.
        planned: Another text whenever the plan has changed.
        submitted: How often something was submitted.
        counts: State -> number of trials that are planned observations; of a store, of all its trials.
    """

    mark: str
    planned: str
    submitted: int
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that made a result.

    Attributes:
        started_at: Seconds since the epoch, on the registry's clock; ended_at: likewise.
        seconds: That it took, as its worker says; by the registry's clock where that says nothing.
    """

    stage: Stage
    started_at: float
    ended_at: float
    seconds: float
