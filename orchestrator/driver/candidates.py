"""What a search's candidate came to: from the states and the curves of its trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.model.plan import State, TrialKey, TrialStatus
from orchestrator.model.result import ResultRow
from orchestrator.model.search import Candidate, Ending, Values


def metric_curve(rows: Iterable[ResultRow], metric: str) -> dict[int, float]:
    """Returns step -> value of a metric of a training's curves."""
    return {
        row.step: row.value
        for row in rows
        if row.evaluation == "train" and row.metric == metric and not row.coords
    }


def mean_curve(curves: Sequence[Mapping[int, float]]) -> list[tuple[int, float]]:
    """Returns the mean of some curves as (step, value), at the steps that all of them have."""
    steps = sorted(set(curves[0]).intersection(*curves[1:]))
    return [(step, sum(curve[step] for curve in curves) / len(curves)) for step in steps]


def candidate_of(
    number: int,
    values: Values,
    keys: tuple[TrialKey, ...],
    statuses: Sequence[TrialStatus],
    curves: Sequence[Mapping[int, float]],
    *,
    points: int | None,
    metric: str,
) -> Candidate:
    """Returns how a candidate ended, or that it runs.

    Args:
        number: In its search.
        values: What was tried.
        keys: Its trainings.
        statuses: Of these, in their order.
        curves: What they reported of the metric: step -> value.
        points: After how many points of the curve it was pruned, None for never.
        metric: What is judged.
    """
    found = Candidate(number=number, values=values, trials=keys)
    if not all(status.state.final for status in statuses):
        return found
    failed = next((status for status in statuses if not status.state.has_result), None)
    if failed is not None:
        return _ended(found, "failed", message=failed.message or failed.state.value)
    if any(status.state is State.DIVERGED for status in statuses):
        return _ended(found, "diverged")
    curve = tuple(mean_curve(curves))
    if points is not None:
        return _ended(found, "pruned", curve=curve[:points])
    if not curve:
        return _ended(found, "failed", message=f"it reported no {metric}")
    return _ended(found, "complete", curve=curve)


def _ended(
    found: Candidate, how: Ending, *, curve: tuple[tuple[int, float], ...] = (), message: str = ""
) -> Candidate:
    return replace(found, ended=how, curve=curve, message=message)
