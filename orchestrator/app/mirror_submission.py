"""Composes what the mirror shows of a whole study: its submissions and its experiment's note."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from orchestrator.app.mirror_picture import Facts, Picture, counted, milliseconds
from orchestrator.model.mirror import MirrorMetric, MirrorRun
from orchestrator.model.plan import State


def submission_run(shown: Picture, facts: Facts, *, ended: bool, texts: Mapping[str, str]) -> MirrorRun:
    """Returns the parent run of a submission.

    Counts by state are tags, not metrics: they change when a submission is resumed, and its children
    must keep their parent.
    """
    submission = shown.submission
    states = Counter(facts.status(key).state for key in shown.trials)
    status = "RUNNING"
    if ended:
        failed = bool(states[State.FAILED])
        open_ = any(not state.final or state is State.CANCELLED for state in states)
        status = "FAILED" if failed else "KILLED" if open_ else "FINISHED"
    axes: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for each in shown.trainings.values():
        for name, label in each.labels.items():
            axes[name][label] = None
    params = {name: ", ".join(labels) for name, labels in axes.items() if len(labels) > 1} | {
        "count/cells": str(len(shown.cells)),
        "count/trainings": str(len(shown.trainings)),
        "count/conditions": str(sum(len(each) for each in shown.conditions.values())),
        "count/gathers": str(len(shown.gathers)),
    }
    tags = {
        "orch.submission": submission.id,
        "orch.code": submission.code,
        "orch.file": submission.file,
        "orch.patches": json.dumps(submission.patches, default=str) if submission.patches else "",
        "orch.seeds": ",".join(map(str, submission.seeds or ())),
        "orch.cells": " ".join(submission.cells),
        "mlflow.user": str(submission.arguments.get("user", "")),
        "mlflow.source.git.commit": submission.commit,
        "mlflow.source.git.dirty": str(submission.dirty).lower(),
        **(counted("orch.trials", states) if ended else {}),
    }
    # JSON is YAML too, and the same text for the same document.
    document = json.dumps(submission.document, indent=2, ensure_ascii=False, default=str)
    return MirrorRun(
        study=submission.study,
        key=submission.id,
        kind="submission",
        name=submission.id,
        status=status,
        params=params,
        tags={name: value for name, value in tags.items() if value},
        metrics=_progress(shown, facts) if ended else (),
        texts={"study.yaml": document + "\n", **texts},
        start_ms=milliseconds(submission.created_at),
        end_ms=_last_end_ms(shown, facts) if ended else None,
    )


def experiment_note(shown: Picture, facts: Facts, texts: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Returns the Markdown note and the tags of a study's experiment."""
    document = shown.submission.document
    states = Counter(facts.status(key).state for key in shown.trials)
    counts = ", ".join(f"{states[state]} {state.value}" for state in State if states[state])
    lines = [
        f"## {document.get('title') or shown.submission.study}",
        str(document.get("paper") or ""),
        str(document.get("notes") or ""),
        f"{len(shown.cells)} cells, {len(shown.trainings)} trainings, {len(shown.gathers)} gathers. "
        f"Trials: {counts}. Latest submission: {shown.submission.id}.",
        *(text for path, text in sorted(texts.items()) if path.endswith(".md")),
        'Filter by kind: `tags."orch.kind" = "cell"` (or training, gather, submission).',
    ]
    return "\n\n".join(line for line in lines if line), _primary_metric(document)


def _progress(shown: Picture, facts: Facts) -> list[MirrorMetric]:
    """Returns the share of cells that were trained, at the times when each was.

    A cell that failed is not among them, so that one tried again later adds a point and moves none.
    """
    ends = []
    for trainings in shown.cells.values():
        keys = [each.trial for each in trainings]
        if all(facts.status(key).state.has_result and facts.attempts.get(key) for key in keys):
            ends.append(max(facts.attempts[key][-1].ended_at or 0.0 for key in keys))
    began = shown.submission.created_at
    return [
        MirrorMetric(
            name="progress",
            value=number / len(shown.cells),
            step=number,
            timestamp_ms=milliseconds(max(began, end)),  # what was cached was there from the beginning
        )
        for number, end in enumerate(sorted(ends), start=1)
    ]


def _last_end_ms(shown: Picture, facts: Facts) -> int:
    ends = [each.ended_at or 0.0 for key in shown.trials for each in facts.attempts.get(key, ())]
    return milliseconds(max([shown.submission.created_at, *ends]))


def _primary_metric(document: Mapping[str, Any]) -> dict[str, str]:
    for table in (document.get("tables") or {}).values():
        metric = table.get("metric") or next(iter(table.get("metrics") or ()), None)
        if metric:
            tags = {"mlflow.experiment.primaryMetric.name": str(metric)}
            if table.get("best"):
                better = str(table["best"] == "max").lower()
                tags["mlflow.experiment.primaryMetric.greaterIsBetter"] = better
            return tags
    return {}
