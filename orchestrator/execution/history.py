"""What a trial has reported so far: checked values, kept in each checkpoint so that a resume misses none."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.execution.failures import ReportError
from orchestrator.execution.secrets import without_secrets
from orchestrator.model.plan import Trial
from orchestrator.model.result import ResultRow
from workloads.api import Report

FILE = "reports.json"  # beside the workload's own files in every checkpoint of a training
VERSION = 1
METRICS_LIMIT = 10_000  # names in one report; more is a mistake, and would drown every table
NAME_LIMIT = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One report that carried metrics."""

    evaluation: str
    step: int
    coords: Mapping[str, int | str]
    metrics: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class History:
    """The reports of one trial, in order.

    Attributes:
        points: What was reported.
        ended: "" while it goes on, else "succeeded" or "diverged".
        mark: Equal in the checkpoints of fused trainings that were written at the same step; else "".
    """

    points: list[Point] = field(default_factory=list)
    ended: str = ""
    mark: str = ""

    def write(self, directory: Path) -> None:
        """Writes the history into a checkpoint that is being made.

        Raises:
            ReportError: The workload has written a file of this name.
        """
        path = directory / FILE
        if path.exists():
            raise ReportError(
                f"the workload's checkpoint holds a file {FILE!r}: the name is reserved, use another"
            )
        document: dict[str, Any] = {
            "version": VERSION,
            "ended": self.ended,
            "reports": [[p.evaluation, p.step, dict(p.coords), dict(p.metrics)] for p in self.points],
        }
        if self.mark:
            document["mark"] = self.mark
        path.write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> History:
        """Returns the history that a checkpoint holds.

        Raises:
            OSError: There is none.
            ValueError: It is not one that this version wrote.
        """
        document = json.loads((directory / FILE).read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise ValueError(f"{FILE} is not of version {VERSION}")
        points = [
            Point(evaluation=evaluation, step=step, coords=coords, metrics=metrics)
            for evaluation, step, coords, metrics in document["reports"]
        ]
        return cls(points=points, ended=document["ended"], mark=document.get("mark", ""))

    def rows(self, trial: Trial, outcome: str) -> tuple[ResultRow, ...]:
        """Returns every value as a row of the trial's result."""
        return tuple(
            ResultRow(
                trial=trial.key,
                evaluation=point.evaluation,
                coords=point.coords,
                seed=trial.seed,
                draw=trial.draw,
                step=point.step,
                metric=metric,
                value=value,
                outcome=outcome,
            )
            for point in self.points
            for metric, value in point.metrics.items()
        )


def checked_metrics(metrics: Any) -> dict[str, float]:
    """Returns the metrics as floats: numbers, and arrays or tensors of one value, are taken.

    Raises:
        ReportError: Names the metric whose name or value cannot be recorded.
    """
    if not isinstance(metrics, Mapping):
        raise ReportError(f"metrics: got {_kind(metrics)}; allowed: a mapping from names to numbers")
    if len(metrics) > METRICS_LIMIT:
        raise ReportError(
            f"metrics: got {len(metrics):,} in one report; allowed: {METRICS_LIMIT:,}; "
            "report many values as coordinates"
        )
    return {_name(name, "metrics"): _number(name, value) for name, value in metrics.items()}


def checked_coords(coords: Any) -> dict[str, int | str]:
    """Returns the coordinates as whole numbers and text.

    Raises:
        ReportError: Names the coordinate that cannot be recorded.
    """
    if not isinstance(coords, Mapping):
        raise ReportError(f"coords: got {_kind(coords)}; allowed: a mapping from names to int or str")
    found: dict[str, int | str] = {}
    for name, value in coords.items():
        name = _name(name, "coords")
        if isinstance(value, str):
            found[name] = without_secrets(value)
        elif isinstance(value, numbers.Integral):
            found[name] = int(value)
        else:
            raise ReportError(f"coords[{name!r}]: got {_kind(value)}; allowed: int or str")
    return found


def checked_step(step: Any) -> int:
    """Returns the step as an int.

    Raises:
        ReportError: It is not a whole number.
    """
    if not isinstance(step, numbers.Integral):
        raise ReportError(f"step: got {_kind(step)}; allowed: a whole number")
    return int(step)


def checked_notes(notes: Any) -> dict[str, Any]:
    """Returns what a workload says of how it computed.

    Raises:
        ReportError: It is no mapping of names to plain values.
    """
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(notes), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ReportError(
            f"notes: got {_kind(notes)} ({error}); allowed: names with values that JSON has"
        ) from None
    return {_name(name, "notes"): value for name, value in found.items()}


def checked_index(report: Any, count: int, what: str) -> int:
    """Returns the position that a report belongs to.

    Raises:
        ReportError: It is no report, or its index is out of range.
    """
    if not isinstance(report, Report):
        raise ReportError(
            f"the workload yielded {type(report).__name__}; allowed: instances of workloads.api.Report"
        )
    if report.index not in range(count):
        raise ReportError(
            f"index: got {report.index!r}; allowed: 0 to {count - 1}, one for each of the {what}"
        )
    return report.index


def finite(metrics: Mapping[str, float]) -> bool:
    """Returns whether no value is NaN or infinite."""
    return all(math.isfinite(value) for value in metrics.values())


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise ReportError(f"{where}: got a name of type {type(name).__name__}; allowed: text")
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise ReportError(
            f"{where}: got the name {name[:60]!r}; allowed: 1 to {NAME_LIMIT} printable characters"
        )
    return without_secrets(name)


def _number(name: str, value: Any) -> float:
    if isinstance(value, numbers.Real):  # bool, int, float and numpy's scalars
        return float(value)
    # A tensor or an array of one value, known by its manners: importing torch here would cost seconds.
    shape = getattr(value, "shape", None)
    item = getattr(value, "item", None)
    if shape is not None and callable(item) and math.prod(shape) == 1:
        number = item()
        if isinstance(number, numbers.Real):
            return float(number)
    raise ReportError(
        f"metrics[{name!r}]: got {_kind(value)}; allowed: a number, or an array or tensor of one value; "
        "report several values under several names or with coords"
    )


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    described = f"{type(value).__name__} of shape {tuple(shape)}" if shape is not None else None
    return described or f"{type(value).__name__} {str(value)[:40]!r}"
