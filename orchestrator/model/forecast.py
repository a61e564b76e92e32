"""What a plan will cost, judged by what like trials have taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.plan import Resources, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a trial with a result took.

    Attributes:
        config: Of a training; of an evaluation, that of the first network that it measured.
        seconds: Of the attempt that made the result.
        resources: What it held, None where that is not known.
        host: The machine, "" where that is not known.
        disk_bytes: Its checkpoints and its share of a part; 0 where that is not known.
        memory_mb: The most memory that its worker held by its end, MiB; 0 where that is not known.
        device_memory_mb: The most that it held of a GPU's, likewise.
    """

    stage: Stage
    workload: str
    config: Mapping[str, Any]
    family: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float
    resources: Resources | None = None
    host: str = ""
    disk_bytes: float = 0.0
    memory_mb: float = 0.0
    device_memory_mb: float = 0.0


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
        trials: How many are to run; alike: those judged by past ones of equal config; counted: those judged
            by past ones of other configs on that machine and how much there is to compute; near: those
            judged by other past ones of their kind; unknown: those that nothing is known of, not in any time.
        device_s: Seconds of CPUs and of GPUs, each counted by the share that a trial holds.
        wall_s: Until the end, None where it is not known how many run at once.
        slots: Trials of the most frequent class at once, or None.
        disk_bytes: What their checkpoints and parts will take, None where nothing is known of any.
        disk_unknown: Trials that this leaves out.
        free_bytes: Room where the store is, None where nobody can say.
    """

    trials: int
    alike: int
    counted: int
    near: int
    unknown: int
    cpu_s: Span
    gpu_s: Span
    wall_s: Span | None
    slots: int | None
    disk_bytes: Span | None = None
    disk_unknown: int = 0
    free_bytes: int | None = None


NOTHING = Span(low=0.0, mid=0.0, high=0.0)


def slots_of(resources: Resources, *, cpus: float, gpus: float, most: int | None) -> int:
    """Returns how many trials of a class run at once on a machine, 0 for none."""
    found = [cpus / resources.cpu] if resources.cpu else []
    found += [gpus / resources.gpu] if resources.gpu else []
    found += [float(most)] if most is not None else []
    return int(min(found, default=1) + 1e-9)


def total(spans: Sequence[Span]) -> Span:
    """Returns a sum."""
    found = NOTHING
    for each in spans:
        found = found + each
    return found
