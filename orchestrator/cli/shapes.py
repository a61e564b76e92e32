"""The documented JSON shapes of `--json` (docs/json.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.model.plan import Assignment, Plan, State, Trial, TrialKey, TrialStatus

if TYPE_CHECKING:
    from orchestrator.app.inspect import Status, TrialReport
    from orchestrator.app.run import Finish
    from orchestrator.app.trace import Source
    from orchestrator.model.claim import Judged
    from orchestrator.model.forecast import Forecast, Span
    from orchestrator.model.job import JobStatus
    from orchestrator.model.plot import Panel, Plot


def counts_shape(counts: Mapping[State, int]) -> dict[str, int]:
    """Returns every state's count, zeros included."""
    return {state.value: counts.get(state, 0) for state in State}


def plan_shape(plan: Plan, wanted: Collection[TrialKey]) -> dict[str, Any]:
    """Returns a plan: counts, cells with their trials, notes."""
    trials = [plan.trials[key] for key in plan.trials if key in wanted]
    cells: dict[str, list[TrialKey]] = {}
    gathers = 0
    for assignment in plan.assignments:
        if assignment.evaluation == "test":
            cells.setdefault(assignment.cell, []).append(assignment.trial)
        gathers += plan.trials[assignment.trial].gathers
    return {
        "study": plan.study,
        "counts": {
            "cells": len(plan.cells),
            "trials": len(trials),
            "trainings": sum(trial.stage == "train" for trial in trials),
            "evaluations": sum(trial.stage == "evaluate" for trial in trials),
            "searches": len(plan.searches),
            "candidates": sum(trial.stage == "tune" for trial in trials),
            "observations": len(plan.assignments),
            "cached": sum(plan.state(trial.key).has_result for trial in trials),
            "to_run": sum(not plan.state(trial.key).has_result for trial in trials),
        },
        # One MLflow run each, by its tag orch.kind.
        "runs": {
            "training": sum(len(keys) for keys in cells.values()),
            "gather": gathers,
            "cell": len(plan.cells),
        },
        "dimensions": [{"name": each.name, "labels": list(each.labels)} for each in plan.dimensions],
        "cells": [
            {
                "cell": cell.name,
                "labels": dict(cell.labels),
                "config": dict(cell.config),
                "trials": [
                    {"trial": key, "seed": plan.trials[key].seed, "state": plan.state(key).value}
                    for key in cells.get(cell.name, ())
                ],
            }
            for cell in plan.cells
        ],
        "notes": list(plan.notes),
    }


def status_shape(status: Status, job: JobStatus | None = None) -> dict[str, Any]:
    """Returns a study's status, and its newest job's in a cluster."""
    return {
        "study": status.submission.study,
        "submission": status.submission.id,
        "user": status.submission.arguments.get("user", ""),
        "note": status.submission.arguments.get("note", ""),
        "status": status.status,
        "trainings": counts_shape(status.trainings),
        "evaluations": counts_shape(status.evaluations),
        "candidates": counts_shape(status.candidates),
        "failures": [trial_shape(trial, found) for trial, found in status.failures],
        "driver": {"host": status.driver.host, "pid": status.driver.pid} if status.driver else None,
        "job": {"id": job.id, "state": job.state.value, "message": job.message} if job else None,
    }


def claim_shape(claim: Judged) -> dict[str, Any]:
    """Returns a judged claim with its evidence."""
    return {
        "name": claim.name,
        "says": claim.says,
        "kind": claim.kind,
        "metric": claim.metric,
        "verdict": claim.verdict.value,
        "rule": claim.rule,
        "evidence": [
            {
                "where": dict(each.where),
                "contrast": each.contrast,
                "difference": each.difference,
                "interval": list(each.interval) if each.interval else None,
                "p": each.p,
                "against": each.against,
                "n": each.n,
                "left_out": each.left_out,
                "missing": each.missing,
                "verdict": each.verdict.value,
            }
            for each in claim.evidence
        ],
    }


def cost_shape(cost: Forecast) -> dict[str, Any]:
    """Returns a forecast: seconds and bytes as low, mid and high."""

    def span(found: Span | None) -> dict[str, float] | None:
        return None if found is None else {"low": found.low, "mid": found.mid, "high": found.high}

    return {
        "trials": cost.trials,
        "alike": cost.alike,
        "counted": cost.counted,
        "near": cost.near,
        "unknown": cost.unknown,
        "cpu_s": span(cost.cpu_s),
        "gpu_s": span(cost.gpu_s),
        "wall_s": span(cost.wall_s),
        "slots": cost.slots,
        "disk_bytes": span(cost.disk_bytes),
        "disk_unknown": cost.disk_unknown,
        "free_bytes": cost.free_bytes,
    }


def source_shape(source: Source) -> dict[str, Any]:
    """Returns a source as plain data."""
    trial = source.trial
    return {
        "trial": trial.key,
        "label": trial.label,
        "stage": trial.stage,
        "seed": trial.seed,
        "draw": trial.draw,
        "state": source.status.state.value,
        "value": source.value,
        "config": dict(trial.config),
        "family": trial.family,
        "parameters": dict(trial.parameters),
        "attempts": [
            {
                "epoch": each.epoch,
                "outcome": each.outcome,
                "message": each.message,
                "started_at": each.started_at,
                "ended_at": each.ended_at,
            }
            for each in source.attempts
        ],
        "provenance": dict(source.provenance),
        "data": source.data,
        "checkpoint": None
        if source.checkpoint is None
        else {"path": source.checkpoint.path, "sha256": source.checkpoint.digest},
        "reproduce": f"orch reproduce {trial.key} --check",
        "parents": [source_shape(each) for each in source.parents],
    }


def trial_shape(trial: Trial, status: TrialStatus) -> dict[str, Any]:
    """Returns a trial and its state."""
    return {
        "trial": trial.key,
        "label": trial.label,
        "stage": trial.stage,
        "state": status.state.value,
        "cause": status.cause,
        "message": status.message,
        "attempts": status.attempts,
    }


def observation_shape(assignment: Assignment, status: TrialStatus) -> dict[str, Any]:
    """Returns a planned observation and its trial's state."""
    return {
        "cell": assignment.cell,
        "evaluation": assignment.evaluation,
        "labels": dict(assignment.labels),
        "seed": assignment.seed,
        "draw": assignment.draw,
        "trial": assignment.trial,
        "state": status.state.value,
        "cause": status.cause,
        "message": status.message,
    }


def report_shape(report: TrialReport) -> dict[str, Any]:
    """Returns everything recorded about a trial."""
    trial = report.trial
    return {
        **trial_shape(trial, report.status),
        "config": dict(trial.config),
        "family": trial.family,
        "parameters": dict(trial.parameters),
        "seed": trial.seed,
        "draw": trial.draw,
        "parents": list(trial.parents),
        "group": trial.group,
        "code": report.status.code,
        "commit": report.status.commit,
        "checkpoint": report.checkpoint.path if report.checkpoint else None,
        "log": report.log,
        "attempts": [
            {
                "epoch": attempt.epoch,
                "outcome": attempt.outcome,
                "message": attempt.message,
                "traceback": attempt.traceback,
                "started_at": attempt.started_at,
                "ended_at": attempt.ended_at,
                "worker": dict(attempt.worker),
                "provenance": dict(attempt.provenance),
            }
            for attempt in report.attempts
        ],
        "assignments": [
            {"study": each.study, "cell": each.cell, "evaluation": each.evaluation, "seed": each.seed}
            for each in report.assignments
        ],
        "rows": [
            {
                "evaluation": row.evaluation,
                "coords": dict(row.coords),
                "step": row.step,
                "metric": row.metric,
                # JSON has no NaN: a value that is not finite is given as text
                "value": row.value if row.value - row.value == 0 else repr(row.value),
            }
            for row in report.rows
        ],
    }


def finish_shape(finish: Finish, tables: list[Any]) -> dict[str, Any]:
    """Returns how a submission ended, with its tables."""
    summary = finish.summary
    return {
        "study": finish.submission.study,
        "submission": finish.submission.id,
        "trained": summary.trained,
        "evaluated": summary.evaluated,
        "tuned": summary.tuned,
        "counts": counts_shape(summary.counts),
        "failures": [{"trial": key, "message": message} for key, message in summary.failures.items()],
        "interrupted": summary.interrupted,
        "exit_code": finish.exit_code,
        "unmirrored": finish.unmirrored,
        "problems": [str(problem) for problem in finish.problems],
        "tables": tables,
        "claims": [claim_shape(each) for each in finish.claims],
    }


def plot_shape(plot: Plot, file: Path) -> dict[str, Any]:
    """Returns a plot's file and the numbers that it draws, in natural units."""
    return {
        "name": plot.spec.name,
        "kind": plot.spec.kind,
        "caption": plot.caption,
        "file": str(file),
        "panels": [
            _forest_shape(panel) if plot.spec.kind == "forest" else _panel_shape(panel)
            for panel in plot.panels
        ],
        "notes": list(plot.notes),
    }


def _panel_shape(panel: Panel) -> dict[str, Any]:
    points = [
        {
            "x": panel.rows[row],
            "series": panel.columns[column],
            "metric": panel.metrics.get((row, column)),
            "estimate": entry.estimate,
            "spread": entry.spread,
            "interval": entry.interval,
            "n": entry.n,
            "planned": entry.planned,
            "failures": entry.failures,
            "status": entry.status,
        }
        for row, line in enumerate(panel.entries)
        for column, entry in enumerate(line)
        if entry.planned
    ]
    return {"label": panel.label, "points": points}


def _forest_shape(panel: Panel) -> dict[str, Any]:
    points = [
        {
            "x": panel.rows[row],
            "series": panel.columns[column],
            "metric": panel.metrics.get((row, column)),
            "difference": entry.contrast.difference,
            "interval": entry.contrast.interval,
            "p": entry.contrast.p,
            "corrected": entry.contrast.corrected,
            "effect": entry.contrast.effect,
            "n": entry.contrast.n,
        }
        for row, line in enumerate(panel.entries)
        for column, entry in enumerate(line)
        if entry.contrast is not None
    ]
    return {"label": panel.label, "points": points}
