"""Turns the file's model into the frozen study: levels get labels, tables get their parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from orchestrator.model.budget import Budget
from orchestrator.model.plan import Resources
from orchestrator.model.study import (
    At,
    Axis,
    Design,
    Evaluation,
    Factor,
    FailWhen,
    Level,
    Override,
    ResourceRule,
    TableSpec,
    Where,
)
from orchestrator.study.identity import same_value_text
from orchestrator.study.problems import Path, Problems
from orchestrator.study.published import published
from orchestrator.study.schema import (
    EvaluationFile,
    FactorFile,
    ResourcesFile,
    StudyFile,
    TableFile,
)
from orchestrator.study.text import folded, label_fault, plain, quoted, shown, written

BASE_KEY: Final = {"one_at_a_time": "baseline", "leave_one_out": "on", "list": "cells"}
_FAIL_WHEN = re.compile(r"\s*([A-Za-z_][\w./-]*)\s*(>=|<=|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*")
_AT = re.compile(r"\s*(?:(last)|best\(\s*([A-Za-z_][\w./-]*)\s*\)|step\s+([0-9]{1,12}))\s*")


def where(value: Mapping[str, Any]) -> Where:
    """Returns a selection as declared: factor -> labels, any of which fits."""
    return {name: tuple(labels) for name, labels in value.items()}


def distinct(names: Iterable[str], path: Path, kind: str, problems: Problems) -> None:
    """Notes names that differ only by case or Unicode form: people read them as one."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(folded(name), name)
        if first is not name:
            line = problems.mark((*path, first), key=True)[1]
            at = f" at line {line}" if line else ""
            message = f"{kind} {quoted(name)} is already used{at} as {quoted(first)}; choose another name"
            problems.add((*path, name), "duplicate-name", message, key=True)


# --- factors ------------------------------------------------------------------------------------------


def factor(name: str, file: FactorFile, path: Path, problems: Problems, *, vary: bool = False) -> Factor:
    """Returns a factor with its labelled levels."""
    target = file.path if file.path is not None else (name if vary else None)
    levels = _levels(name, file.levels, target, (*path, "levels"), problems)
    return Factor(name=name, levels=levels, when=where(file.when), otherwise=file.otherwise)


def _levels(
    name: str, declared: Any, target: str | None, path: Path, problems: Problems
) -> tuple[Level, ...]:
    if not declared:
        problems.add(path, "no-values", f"factor {name!r} has no values; give it a level at least")
        return ()
    items: list[tuple[Path, Any, Any]]  # place, label, value
    if isinstance(declared, dict):
        distinct(declared, path, "level", problems)
        items = [((*path, label), label, value) for label, value in declared.items()]
    else:
        items = [((*path, index), written(value), value) for index, value in enumerate(declared)]
    levels: list[Level] = []
    values: dict[str, str] = {}
    labels: dict[str, str] = {}
    for place, label, value in items:
        if not isinstance(label, str):
            message = f"a level of {name!r} is {shown(value)} and needs a label: levels: {{LABEL: value}}"
            problems.add(place, "needs-label", message)
            continue
        if fault := label_fault(label):
            problems.add(place, "bad-label", fault, key=True)
            continue
        patch = _patch(name, value, target, place, problems)
        if patch is None:
            continue
        text = same_value_text(patch)
        if text in values:
            message = f"levels {values[text]!r} and {label!r} of {name!r} have the same value; drop one"
            problems.add(place, "duplicate-value", message)
            continue
        if isinstance(declared, list) and folded(label) in labels:
            problems.add(
                place, "duplicate-name", f"two levels of {name!r} have the label {label!r}; name them"
            )
            continue
        values[text] = labels[folded(label)] = label
        levels.append(Level(label=label, patch=patch))
    return tuple(levels)


def _patch(
    name: str, value: Any, target: str | None, place: Path, problems: Problems
) -> dict[str, Any] | None:
    value = plain(value)
    if target is not None:
        return {target: value}
    if isinstance(value, dict) and value:
        return value
    message = (
        f"factor {name!r} has no path, so a level must be a mapping of dotted paths to values, "
        f"got {shown(value)}; add path: P, or write LABEL: {{network.depth: 14}}"
    )
    problems.add(place, "wrong-type", message)
    return None


# --- the rest of the study ----------------------------------------------------------------------------


def design(file: StudyFile, problems: Problems) -> Design:
    """Returns how levels combine."""
    declared = file.design
    at = ("design", "factors")
    distinct(declared.factors, at, "factor", problems)
    factors = tuple(factor(name, each, (*at, name), problems) for name, each in declared.factors.items())
    if declared.cells:
        distinct(declared.cells, ("design", "cells"), "cell", problems)
    for kind, key in BASE_KEY.items():
        if kind != declared.type and getattr(declared, key) is not None:
            message = (
                f"{key} belongs to a design of type {kind}, this one is {declared.type}; drop it "
                f"({key}: null in a file that extends another), or say type: {kind}"
            )
            problems.add(("design", key), "conflict", message, key=True)
    base = declared.baseline if declared.type == "one_at_a_time" else declared.on
    return Design(
        type=declared.type,
        factors=factors,
        base=dict(base or {}),
        cells={label: dict(each) for label, each in (declared.cells or {}).items()},
        zip=tuple(tuple(group) for group in declared.zip),
        exclude=tuple(where(each) for each in declared.exclude),
        overrides=tuple(
            Override(when=where(each.when), patch=plain(each.set)) for each in declared.overrides
        ),
    )


def evaluations(file: StudyFile, problems: Problems) -> tuple[Evaluation, ...]:
    """Returns the test-time measurements."""
    distinct(file.evaluate, ("evaluate",), "evaluation", problems)
    return tuple(_evaluation(name, each, problems) for name, each in file.evaluate.items())


def _evaluation(name: str, file: EvaluationFile, problems: Problems) -> Evaluation:
    at = ("evaluate", name)
    distinct(file.vary, (*at, "vary"), "factor", problems)
    return Evaluation(
        name=name,
        family=file.family or name,
        parameters=plain(file.set),
        vary=tuple(
            factor(key, each, (*at, "vary", key), problems, vary=True) for key, each in file.vary.items()
        ),
        when=where(file.when),
        draws=int(file.draws),
        gather=file.gather,
        labels=dict(file.as_),
        resources=resources(file.resources) if file.resources is not None else None,
    )


def resources(file: ResourcesFile) -> Resources:
    """Returns a resource class."""
    return Resources(cpu=float(file.cpu), gpu=float(file.gpu), memory_gb=float(file.memory_gb))


def rules(file: StudyFile) -> tuple[ResourceRule, ...]:
    """Returns the resource rules of trainings."""
    return tuple(ResourceRule(when=where(each.when), resources=resources(each)) for each in file.resources)


def budget(file: StudyFile, problems: Problems) -> Budget | None:
    """Returns what the study may cost."""
    declared = file.budget
    if declared is None:
        return None
    if declared.device_hours is declared.wall is declared.disk_gb is None and not problems.below("budget"):
        message = "budget: give device_hours, wall (hours) or disk_gb, or several of them"
        problems.add(("budget",), "missing-key", message, key=True)
    return Budget(
        device_s=None if declared.device_hours is None else 3600 * declared.device_hours,
        wall_s=None if declared.wall is None else 3600 * declared.wall,
        disk_bytes=None if declared.disk_gb is None else int(1e9 * declared.disk_gb),
    )


def tables(file: StudyFile, problems: Problems) -> tuple[TableSpec, ...]:
    """Returns the tables as declared."""
    distinct(file.tables, ("tables",), "table", problems)
    return tuple(_table(name, each, problems) for name, each in file.tables.items())


def _table(name: str, file: TableFile, problems: Problems) -> TableSpec:
    at = ("tables", name)
    if file.metric is not None and file.metrics is not None:
        problems.add((*at, "metrics"), "conflict", "give metric or metrics, not both", key=True)
    metrics = tuple(file.metrics) if file.metrics is not None else ((file.metric,) if file.metric else ())
    if not metrics and not file.attributes:
        problems.add(at, "missing-key", f"table {name!r} needs 'metric' (or 'metrics')", key=True)
    if file.test == "permutation" and not file.paired:
        message = "a permutation test flips the signs of paired differences; drop it, or paired: false"
        problems.add((*at, "test"), "conflict", message, key=True)
    return TableSpec(
        name=name,
        evaluations=tuple(file.from_),
        where=where(file.where),
        rows=axis(file.rows),
        columns=axis(file.columns),
        metrics=metrics,
        show=file.show,
        std=file.std,
        digits=file.digits,
        percent=file.percent,
        best=file.best,
        within=tuple(file.within),
        fail_when=fail_when(file.fail_when, (*at, "fail_when"), problems),
        missing=file.missing,
        attributes={label: where(each) for label, each in file.attributes.items()},
        average_over=tuple(file.average_over),
        baseline=dict(file.baseline),
        contrasts=tuple(file.contrasts),
        paired=file.paired,
        test=file.test,
        published=published(file.published, metrics, (*at, "published"), problems),
        at=point(file.at, (*at, "at"), problems),
        caption=file.caption,
    )


def axis(declared: Any) -> Axis:
    """Returns rows or columns: dimensions, or named selections."""
    if isinstance(declared, dict):
        return Axis(selections={label: where(each) for label, each in declared.items()})
    return Axis(dimensions=tuple(declared))


def fail_when(text: str | None, path: Path, problems: Problems) -> FailWhen | None:
    """Returns a condition such as `test_error > 0.5`."""
    if text is None:
        return None
    match = _FAIL_WHEN.fullmatch(text)
    try:
        threshold = float(match[3]) if match else None
    except ValueError:
        threshold = None
    if match is None or threshold is None:
        message = (
            f"expected a metric, one of > >= < <=, and a number, as 'test_error > 0.5'; got {quoted(text)}"
        )
        problems.add(path, "bad-value", message)
        return None
    comparison = cast(Literal[">", ">=", "<", "<="], match[2])
    return FailWhen(metric=match[1], comparison=comparison, threshold=threshold)


def point(text: str, path: Path, problems: Problems) -> At:
    """Returns which point of a training curve is meant."""
    match = _AT.fullmatch(text)
    if match is None:
        message = f"expected 'last', 'best(METRIC)' or 'step N', got {quoted(text)}"
        problems.add(path, "bad-value", message)
        return At()
    if match[2]:
        return At(rule="best", metric=match[2])
    if match[3]:
        return At(rule="step", step=int(match[3]))
    return At()
