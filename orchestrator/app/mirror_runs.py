"""Composes the mirror's runs from the truth: registry and results in, complete pictures out."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.app.mirror_picture import TEST, Facts, Picture, counted, milliseconds
from orchestrator.app.mirror_submission import submission_run
from orchestrator.model.mirror import MirrorMetric, MirrorRun
from orchestrator.model.plan import Assignment, State
from orchestrator.model.result import ResultRow
from orchestrator.model.study import ABSENT
from orchestrator.stats.estimate import mean, standard_deviation

STATUS: Mapping[State, str] = {
    State.SUCCEEDED: "FINISHED",
    State.DIVERGED: "FINISHED",  # an outcome, not an error: the tag orch.state says it
    State.FAILED: "FAILED",
    State.BLOCKED: "KILLED",
    State.CANCELLED: "KILLED",
    State.PENDING: "KILLED",  # nothing is RUNNING here: a training appears when it has ended
    State.RUNNING: "KILLED",
}
CONFIG_TAG_LIMIT = 8000  # MLflow's; a longer config becomes an artifact


def compose(
    shown: Picture, facts: Facts, kind: str, key: str, texts: Mapping[str, str] | None = None
) -> MirrorRun | None:
    """Returns the run of an outbox item, or None when the study no longer plans it.

    Args:
        shown: The study.
        facts: Of the trials that `Picture.needed` names.
        kind: As in the outbox.
        key: As in the outbox.
        texts: Artifacts for the submission: path -> text.
    """
    if kind in ("submission", "closing"):
        if key != shown.submission.id:
            return None  # a later submission has taken over; see `Mirror`
        return submission_run(shown, facts, ended=kind == "closing", texts=texts or {})
    if kind == "training" and key in shown.trainings:
        return _training(shown, facts, key)
    if kind == "gather" and key in shown.gathers:
        return _gather(shown, facts, key)
    if kind == "cell" and key in shown.cells:
        return _cell(shown, facts, key)
    return None


# --- one function a kind ----------------------------------------------------------------------------


def _training(shown: Picture, facts: Facts, key: str) -> MirrorRun:
    assignment = shown.trainings[key]
    run = _trial_run(shown, facts, "training", key, f"{assignment.cell} s{assignment.seed}", assignment)
    tables = _condition_tables(assignment, shown.conditions.get(key, ()), facts)
    config = json.dumps(
        shown.trials[assignment.trial].config, sort_keys=True, ensure_ascii=False, default=str
    )
    tags, texts = dict(run.tags), dict(run.texts)
    if len(config) <= CONFIG_TAG_LIMIT:
        tags["orch.config"] = config
    else:
        texts["config.json"] = config
    return replace(run, tags=tags, texts=texts, tables=tables)


def _gather(shown: Picture, facts: Facts, key: str) -> MirrorRun:
    assignment = shown.gathers[key]
    name = f"{assignment.evaluation} {assignment.cell} s{assignment.seed}"
    run = _trial_run(shown, facts, "gather", key, name, assignment)
    parents = ",".join(shown.trials[assignment.trial].parents)
    return replace(run, tags={**run.tags, "orch.members": parents})


def _trial_run(
    shown: Picture, facts: Facts, kind: str, key: str, name: str, assignment: Assignment
) -> MirrorRun:
    """Returns what trainings and gathers have in common."""
    status = facts.status(assignment.trial)
    attempts = facts.attempts.get(assignment.trial, ())
    last = attempts[-1] if attempts else None
    tags = {
        "orch.cell": assignment.cell,
        "orch.seed": str(assignment.seed),
        "orch.evaluation": assignment.evaluation,
        "orch.trial_key": assignment.trial,
        "orch.state": status.state.value,
        "orch.attempts": str(status.attempts),
        "orch.code": status.code,
        "mlflow.source.git.commit": status.commit,
    }
    if last is not None and last.worker.get("host"):
        tags["orch.host"] = str(last.worker["host"])
    texts = {}
    if not status.state.has_result:
        tags["orch.error"] = ": ".join(part for part in (status.cause, status.message) if part)
        if last is not None and last.traceback:
            texts["traceback.txt"] = last.traceback
    params = {name: label for name, label in assignment.labels.items() if label != ABSENT}
    return MirrorRun(
        study=assignment.study,
        key=key,
        kind=kind,
        name=name,
        parent=shown.submission.id,
        status=STATUS[status.state],
        params={**params, "seed": str(assignment.seed)},
        tags={name: value for name, value in tags.items() if value},
        metrics=[_point(row) for row in facts.rows.get(assignment.trial, ())],
        texts=texts,
        start_ms=milliseconds(last.started_at) if last else 0,
        end_ms=milliseconds(last.ended_at) if last and last.ended_at else None,
    )


def _cell(shown: Picture, facts: Facts, key: str) -> MirrorRun:
    """Returns the aggregate over seeds; its point stands at step n, so that more seeds are a new point."""
    assignments = shown.cells[key]
    states = Counter(facts.status(each.trial).state for each in assignments)
    values: defaultdict[str, list[float]] = defaultdict(list)
    for each in assignments:
        if facts.status(each.trial).state is State.SUCCEEDED:
            for row in facts.rows.get(each.trial, ()):
                if row.evaluation == TEST and not row.coords and math.isfinite(row.value):
                    values[row.metric].append(row.value)
    n = states[State.SUCCEEDED]
    figures: dict[str, float] = {"n": n, "n_planned": len(assignments), "n_diverged": states[State.DIVERGED]}
    for metric, values_R in sorted(values.items()):
        figures[f"{metric}_mean"] = mean(values_R)
        spread = standard_deviation(values_R)
        if spread is not None:
            figures[f"{metric}_std"] = spread
    labels = {name: label for name, label in assignments[0].labels.items() if label != ABSENT}
    return MirrorRun(
        study=shown.submission.study,
        key=key,
        kind="cell",
        name=key,
        parent=shown.submission.id,
        status="FAILED" if states[State.FAILED] else "FINISHED",
        params=labels,
        tags={"orch.cell": key, **counted("orch.seeds", states)},
        metrics=[
            MirrorMetric(name=name, value=float(value), step=n, timestamp_ms=1000 * n)
            for name, value in figures.items()
        ],
        start_ms=milliseconds(shown.submission.created_at),
        end_ms=milliseconds(shown.submission.created_at),
    )


# --- pieces -----------------------------------------------------------------------------------------


def _point(row: ResultRow) -> MirrorMetric:
    """Returns one value as a point: curves by step, one whole-number coordinate as the step of its own."""
    name, step = row.metric, row.step
    if row.evaluation in ("train", "network"):
        name = f"{row.evaluation}/{name}"
    if len(row.coords) == 1 and isinstance(next(iter(row.coords.values())), int):
        ((coordinate, place),) = row.coords.items()
        name, step = f"{name}/by {coordinate}", int(place)
    elif row.coords:
        name = "/".join([name, *(f"{key} {value}" for key, value in row.coords.items())])
    return MirrorMetric(name=name, value=row.value, step=step, timestamp_ms=1000 * max(step, 0))


def _condition_tables(
    training: Assignment, conditions: Sequence[Assignment], facts: Facts
) -> dict[str, dict[str, list[object]]]:
    """Returns a table for each evaluation: one line a value, or a line with the state where none is."""
    grouped: defaultdict[str, list[Assignment]] = defaultdict(list)
    for each in conditions:
        if facts.status(each.trial).state.final:
            grouped[each.evaluation].append(each)
    tables: dict[str, dict[str, list[object]]] = {}
    for evaluation, members in grouped.items():
        # A dimension may be called "value" or "state": the prefix keeps it apart from our columns.
        varied = {
            f"@{name}" if name in ("value", "state") else name: name
            for name in members[0].labels
            if any(each.labels.get(name) != training.labels.get(name) for each in members)
        }
        coords = sorted(
            {name for each in members for row in facts.rows.get(each.trial, ()) for name in row.coords}
        )
        names = [*varied, "draw", *coords, "step", "metric", "value", "state"]
        table: dict[str, list[object]] = {name: [] for name in names}
        for each in members:
            state = facts.status(each.trial).state.value
            labels = {column: each.labels.get(name, ABSENT) for column, name in varied.items()}
            rows: Sequence[ResultRow | None] = facts.rows.get(each.trial) or [None]
            for row in rows:
                line: dict[str, Any] = {**labels, "draw": each.draw, "state": state}
                if row is not None:
                    line |= {"step": row.step, "metric": row.metric, "value": row.value, **row.coords}
                for name in names:
                    table[name].append(line.get(name))
        tables[f"conditions/{evaluation}.json"] = table
    return tables
