"""Which seeds of a cell are trained as one network, and why others are not."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, final

from orchestrator.model.forecast import slots_of
from orchestrator.model.fusing import FUSED, LEAST_GAIN, UNDECIDED, Fuse, Verdict, pace_of
from orchestrator.model.plan import Resources, TrialKey
from workloads.api import Spec

# Seeds that are tried together by `fuse: auto`: more gain little on a CPU, and much on a GPU.
MOST: Final = 4
MOST_GPU: Final = 8
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What earlier runs say of fusing.

    Attributes:
        verdicts: Pace -> what was measured.
        machine: "cpus", "gpus" and perhaps "most" at once, of where it runs; None where nobody knows.
        recorded: Training that was begun -> the group that it was recorded with.
    """

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    machine: Mapping[str, float] | None = None
    recorded: Mapping[TrialKey, str] = field(default_factory=dict)


NOTHING: Final = Known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The trainings of a cell.

    Attributes:
        name: Of the cell.
        config: Its canonical config.
        resources: Its class.
        keys: Its trainings, in the order of the seeds.
        searched: Whether a search decides its config.
    """

    name: str
    config: Any
    resources: Resources
    keys: Sequence[TrialKey]
    searched: bool = False


def grouped(
    rows: Sequence[Row], fuse: Fuse, spec: Spec, known: Known = NOTHING
) -> tuple[dict[TrialKey, str], list[str]]:
    """Returns training -> name of its group, for those that have one, and notes for a reader of the plan.

    Args:
        rows: Every distinct cell.
        fuse: As the study says.
        spec: Its workload.
        known: For `auto`.
    """
    if fuse == "never":
        return {}, []
    notes = _Notes()
    rows = [row for row in rows if len(row.keys) > 1]
    fit = [row for row in rows if notes.fits(row, spec)]
    sizes = _sizes(fit, fuse, known.machine)
    found: dict[TrialKey, str] = {}
    for row in fit:
        for chunk in _chunks(row.keys, sizes[row.name], even=fuse == "auto"):
            if len(chunk) > 1:
                group = _measured(row, chunk, spec, known, notes) if fuse == "auto" else FUSED + chunk[0]
                found.update(dict.fromkeys(chunk, group))
        if fuse == "auto":
            found.update({key: known.recorded[key] for key in row.keys if key in known.recorded})
    return {key: group for key, group in found.items() if group}, notes.told()


def _measured(row: Row, chunk: Sequence[TrialKey], spec: Spec, known: Known, notes: _Notes) -> str:
    """Returns the group that a measurement makes of seeds, "" for none, or one that waits to be measured."""
    pace = pace_of(spec, row.config, replicas=len(chunk), resources=row.resources)
    verdict = known.verdicts.get(pace)
    if verdict is None and any(key in known.recorded for key in chunk):
        return ""  # what is left of a group that was begun
    notes.verdict(row, verdict)
    if verdict is None:
        return f"{UNDECIDED}{pace}-{chunk[0]}"
    return FUSED + chunk[0] if verdict.fused else ""


def _sizes(rows: Sequence[Row], fuse: Fuse, machine: Mapping[str, float] | None) -> dict[str, int]:
    """Returns how many seeds of each cell train together; the same for all of a resource class."""
    if fuse != "auto":
        return {row.name: int(fuse) for row in rows}
    classes: dict[Resources, list[Row]] = {}
    for row in rows:
        classes.setdefault(row.resources, []).append(row)
    return {
        row.name: size
        for resources, several in classes.items()
        for size in [
            widest_group(
                [len(row.keys) for row in several], _slots(resources, machine), gpu=resources.gpu > 0
            )
        ]
        for row in several
    }


def _slots(resources: Resources, machine: Mapping[str, float] | None) -> int | None:
    if machine is None:
        return None
    most = int(machine["most"]) if "most" in machine else None
    return slots_of(resources, cpus=machine["cpus"], gpus=machine["gpus"], most=most)


def widest_group(seeds: Sequence[int], slots: int | None, *, gpu: bool = False) -> int:
    """Returns the most seeds of a cell that may train together without leaving slots idle at the end.

    All trainings count as equally long, and a group as little faster as is just accepted.

    Args:
        seeds: Of each cell.
        slots: How many trainings run at once, None where nobody knows.
        gpu: Whether they run on GPUs.
    """
    most = min(MOST_GPU if gpu else MOST, max(seeds))
    if slots is None or sum(seeds) > 100 * slots:
        return most
    spans = {size: _span(seeds, size, slots) for size in range(1, most + 1)}
    shortest = min(spans.values())
    return max(size for size, span in spans.items() if span <= shortest + 1e-9)


def _span(seeds: Sequence[int], size: int, slots: int) -> float:
    """Returns how long all trainings take in groups of a size, in trainings, the longest group first."""
    lengths = [
        len(chunk) / (LEAST_GAIN if len(chunk) > 1 else 1)
        for count in seeds
        for chunk in _chunks(range(count), size, even=True)
    ]
    busy = [0.0] * slots
    for length in sorted(lengths, reverse=True):
        heapq.heapreplace(busy, busy[0] + length)
    return max(busy)


def _chunks(keys: Sequence[Any], size: int, *, even: bool) -> list[Sequence[Any]]:
    """Returns consecutive chunks of at most a size, the last one smaller, or all of about the same size."""
    if not even:
        return [keys[start : start + size] for start in range(0, len(keys), size)]
    count = -(-len(keys) // size)
    ends = [len(keys) * number // count for number in range(count + 1)]
    return [keys[start:end] for start, end in pairwise(ends)]


@final
class _Notes:
    """Collects what is said of cells, cells of which the same is said together."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, None]] = {}

    def fits(self, row: Row, spec: Spec) -> bool:
        """Returns whether a cell's seeds can be trained together, and notes why not."""
        reason = spec.unfused(row.config)
        if reason is None and row.resources.gpu > 1:
            reason = "its trainings have several GPUs each"
        if reason is None and row.searched:
            reason = "a search decides what is trained"
        if reason is not None:
            self._note(f"not fused: {reason}", row)
        return reason is None

    def verdict(self, row: Row, verdict: Verdict | None) -> None:
        """Notes what was measured of a cell."""
        if verdict is None:
            self._note("fuse: auto, measured by the first worker that comes to them", row)
        else:
            self._note(f"{'fused' if verdict.fused else 'not fused'}: {verdict.text}", row)

    def _note(self, text: str, row: Row) -> None:
        self._cells.setdefault(text, {})[row.name] = None

    def told(self) -> list[str]:
        """Returns the notes."""
        return [f"{text}: {_listed(list(cells))}" for text, cells in self._cells.items()]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more cells" if len(names) > _SHOWN else ""
    return " and ".join(names[:_SHOWN]) + more
