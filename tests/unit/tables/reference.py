"""A slow plain reference of `tables.build`: loops over assignments and rows, no data frames.

Knows dimensions as rows and columns, `where`, draws, `average_over` and fails; no coordinates or curves.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model.plan import Assignment, State, TrialKey, TrialStatus
from orchestrator.model.result import ResultRow
from orchestrator.model.study import TableSpec


class AmbiguousError(Exception):
    """Observations of one seed in one entry differ in another dimension."""

    def __init__(self, dimensions: set[str]) -> None:
        self.dimensions = dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    text: str
    status: str
    values: tuple[tuple[int, float], ...]
    planned: int
    failures: int
    trials: frozenset[TrialKey]


def reference(
    spec: TableSpec,
    assignments: Sequence[Assignment],
    statuses: Mapping[TrialKey, TrialStatus],
    rows: Sequence[ResultRow],
) -> dict[tuple[tuple[str, ...], tuple[str, ...]], Expected]:
    """Returns (row labels, column labels) -> what the entry must be."""
    measured = {(row.trial, row.metric): row.value for row in rows}
    planned: dict[tuple, dict[int, list[tuple[Assignment, str, dict[str, str]]]]] = {}
    for each in assignments:
        if each.evaluation not in spec.evaluations:
            continue
        for metric in spec.metrics:
            labels = {**each.labels, "evaluation": each.evaluation, "metric": metric}
            if any(labels[name] not in allowed for name, allowed in spec.where.items()):
                continue
            place = (
                tuple(labels[name] for name in spec.rows.dimensions),
                tuple(labels[name] for name in spec.columns.dimensions),
            )
            planned.setdefault(place, {}).setdefault(each.seed, []).append((each, metric, labels))
    expected = {}
    for place, seeds in planned.items():
        outcomes = {seed: _outcome(spec, found, statuses, measured) for seed, found in sorted(seeds.items())}
        trials = frozenset(each.trial for found in seeds.values() for each, _, _ in found)
        expected[place] = _entry(spec, outcomes, trials)
    return expected


def _outcome(spec, found, statuses, measured) -> tuple[str, float | None]:
    free = {name for _, _, labels in found for name in labels} - set(spec.average_over)
    differing = {name for name in free if len({labels[name] for _, _, labels in found}) > 1}
    if differing:
        raise AmbiguousError(differing)
    states = {statuses.get(each.trial, TrialStatus()).state for each, _, _ in found}
    if State.DIVERGED in states:
        return "fail", None
    if State.FAILED in states:
        return "error", None
    if State.BLOCKED in states:
        return "blocked", None
    if states != {State.SUCCEEDED}:
        return "pending", None
    nets: dict[tuple, list[float]] = {}
    for each, metric, labels in found:
        nets.setdefault(tuple(sorted(labels.items())), []).append(measured[each.trial, metric])
    value = statistics.fmean(statistics.fmean(draws) for draws in nets.values())
    if not math.isfinite(value):
        return "fail", None
    if spec.fail_when is not None and value > spec.fail_when.threshold:
        return "fail", None
    return "value", value


def _entry(spec, outcomes, trials) -> Expected:
    values = tuple((seed, value) for seed, (status, value) in outcomes.items() if status == "value")
    count = {name: 0 for name in ("fail", "error", "blocked", "pending")}
    for status, _ in outcomes.values():
        if status != "value":
            count[status] += 1
    mostly_failed = count["fail"] > 0 and count["fail"] >= len(values)
    if mostly_failed:
        text, status = "fail", "fail"
    elif values:
        numbers = [value for _, value in values]
        spread = f"{statistics.stdev(numbers):.3f}" if len(numbers) > 1 else "–"
        text = f"{statistics.fmean(numbers):.3f} ± {spread}"
        status = "partial" if count["pending"] else "ok"
    else:
        text, status = spec.missing, "pending"
        for name in ("blocked", "error"):
            text = name if count[name] else text
    if not mostly_failed:
        for name in ("blocked", "error"):
            status = name if count[name] else status
    if values or count["fail"]:
        shown = [] if text == "fail" or not count["fail"] else [f"{count['fail']} fail"]
        shown += [f"{count[name]} {name}" for name in ("error", "blocked") if count[name]]
        if count["error"] + count["blocked"] + count["pending"]:
            shown.append(f"n={len(values)}/{len(outcomes)}")
        text += f" ({', '.join(shown)})" if shown else ""
    return Expected(
        text=text,
        status=status,
        values=values,
        planned=len(outcomes),
        failures=count["fail"],
        trials=trials,
    )
