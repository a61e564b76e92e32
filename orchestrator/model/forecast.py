"""What a plan will cost, judged by what like trials have taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.plan import Resources, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """How long a trial with a result took.

    Attributes:
        config: Of a training; of an evaluation, that of the first network that it measured.
        seconds: Of the attempt that made the result.
    """

    stage: Stage
    workload: str
    config: Mapping[str, Any]
    family: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A quantity and the range that it may well lie in."""

    low: float
    mid: float
    high: float

    def __add__(self, other: Span) -> Span:
        """Returns the sum, as if all erred the same way: the range is rather too wide than too narrow."""
        return Span(low=self.low + other.low, mid=self.mid + other.mid, high=self.high + other.high)

    def times(self, factor: float) -> Span:
        """Returns the quantity so many times."""
        return Span(low=self.low * factor, mid=self.mid * factor, high=self.high * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the trials that are to run will cost.

    Attributes:
        trials: How many are to run; alike: those judged by past ones of equal config; near: those judged by
            other past ones of their kind; unknown: those that nothing is known of, not counted in any cost.
        device_s: Seconds of CPUs and of GPUs, each counted by the share that a trial holds.
        wall_s: Until the end, None where it is not known how many run at once.
        slots: Trials of the most frequent class at once, or None.
    """

    trials: int
    alike: int
    near: int
    unknown: int
    cpu_s: Span
    gpu_s: Span
    wall_s: Span | None
    slots: int | None


NOTHING = Span(low=0.0, mid=0.0, high=0.0)


def slots_of(resources: Resources, *, cpus: float, gpus: float, most: int | None) -> int:
    """Returns how many trials of a class run at once on a machine, 0 for none."""
    found = [cpus / resources.cpu] if resources.cpu else []
    found += [gpus / resources.gpu] if resources.gpu else []
    count = int(min(found, default=1) + 1e-9)
    return min(count, most) if most is not None else count


def total(spans: Sequence[Span]) -> Span:
    """Returns a sum."""
    found = NOTHING
    for each in spans:
        found = found + each
    return found
