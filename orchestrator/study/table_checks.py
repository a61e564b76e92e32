"""Checks tables against what the study will observe: names, labels, metrics, entries that two labels fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orchestrator.model.adaptive import Adaptive
from orchestrator.model.study import Axis, Study, TableSpec, Where
from orchestrator.study.dimensions import dimensions, selected
from orchestrator.study.problems import Path, Problems, dotted
from orchestrator.study.text import listed, unknown
from workloads.api import Spec

METRIC = "metric"
EVALUATION = "evaluation"
DESCRIPTION = ("parameters", "longest_path", "flops", "paths")

# evaluation, full labels: one for each distinct observation, seeds and draws aside
Observed = Sequence[tuple[str, Mapping[str, str]]]


def check_tables(study: Study, spec: Spec, observed: Observed, problems: Problems) -> None:
    """Notes what is wrong in the study's tables and in what its claims compare."""
    metrics: dict[str, tuple[str, ...]] = dict(spec.metrics)
    coords: dict[str, tuple[str, ...]] = dict(spec.coords)
    strange = {each.name for each in study.evaluations if each.family not in spec.families}
    if spec.describe:
        metrics["network"] = DESCRIPTION
    for evaluation in study.evaluations:
        family = spec.families.get(evaluation.family)
        metrics[evaluation.name] = family.metrics if family else ()
        coords[evaluation.name] = family.coords if family else ()
    if study.adaptive is not None and not strange & set(study.adaptive.evaluations):
        _adaptive(study.adaptive, metrics, problems)
    drawn = (p.table for p in study.plots if p.kind != "forest")  # that is one of the tables
    for table in (*study.tables, *(c.table for c in study.claims), *drawn):
        at = (table.root, table.name)
        before = len(problems)
        _evaluations(table, metrics, (*at, "from"), problems)
        if len(problems) > before or strange & set(table.evaluations):
            continue  # what such a table could say is not known
        known: dict[str, Sequence[str]] = {each.name: each.labels for each in dimensions(study)}
        known |= {METRIC: table.metrics, EVALUATION: table.evaluations}
        free = {name for each in table.evaluations for name in coords.get(each, ())}
        _dimensions(table, known, free, at, problems)
        reported = _metrics(study, table, metrics, spec, at, problems)
        if len(problems) == before:
            _ambiguous(table, observed, reported, list(known), at, problems)


def _adaptive(rule: Adaptive, metrics: Mapping[str, tuple[str, ...]], problems: Problems) -> None:
    """Notes what the rule by which seeds are added cannot look at."""
    at = ("seeds", "until")
    if not rule.metric:
        return
    before = len(problems)
    for name in rule.evaluations:
        if name in ("train", "network"):
            message = f"{name!r} is no test-time measurement; name 'test' or an evaluation"
            problems.add((*at, "from"), "unknown-evaluation", message)
    _evaluations(rule, metrics, (*at, "from"), problems)
    known = {metric for name in rule.evaluations for metric in metrics.get(name, ())}
    if len(problems) == before and rule.metric not in known:
        problems.add((*at, "metric"), "unknown-metric", unknown("metric", rule.metric, sorted(known)))


def _evaluations(
    table: TableSpec | Adaptive, known: Mapping[str, object], at: Path, problems: Problems
) -> None:
    for name in table.evaluations:
        if name not in known:
            problems.add(at, "unknown-evaluation", unknown("evaluation", name, known))


def _metrics(
    study: Study,
    table: TableSpec,
    metrics: Mapping[str, tuple[str, ...]],
    spec: Spec,
    at: tuple[str, ...],
    problems: Problems,
) -> dict[str, set[str]]:
    """Checks metric names; returns metric -> evaluations of the table that report it."""
    reported: dict[str, set[str]] = {}
    for evaluation in table.evaluations:
        for name in metrics.get(evaluation, ()):
            reported.setdefault(name, set()).add(evaluation)
    key = "metric" if dotted((*at, "metric")) in study.places else "metrics"
    for name in table.metrics:
        if name not in reported:
            problems.add((*at, key), "unknown-metric", unknown("metric", name, reported))
    if table.fail_when is not None and table.fail_when.metric not in reported:
        message = unknown("metric", table.fail_when.metric, reported)
        problems.add((*at, "fail_when"), "unknown-metric", message)
    if table.at.metric is not None and table.at.metric not in metrics.get("train", ()):
        message = f"{unknown('metric', table.at.metric, metrics.get('train', ()))} (of training curves)"
        problems.add((*at, "at"), "unknown-metric", message)
    for name in table.attributes:
        allowed = DESCRIPTION if spec.describe else ()
        if name not in allowed:
            message = unknown("attribute", name, allowed)
            if not spec.describe:
                message = f"workload {spec.name!r} describes no networks, so a table has no attributes"
            problems.add((*at, "attributes", name), "unknown-attribute", message, key=True)
    return reported


def _dimensions(
    table: TableSpec,
    known: Mapping[str, Sequence[str]],
    free: Collection[str],
    at: tuple[str, ...],
    problems: Problems,
) -> None:
    _selection(table.where, known, free, (*at, "where"), problems)
    for key, axis in (("rows", table.rows), ("columns", table.columns)):
        for name in axis.dimensions:
            if name not in known and name not in free:
                message = unknown("dimension", name, [*known, *sorted(free)])
                problems.add((*at, key), "unknown-dimension", message)
        for label, where in axis.selections.items():
            _selection(where, known, free, (*at, key, label), problems)
    if METRIC in table.average_over:
        problems.add((*at, "average_over"), "bad-value", "different metrics cannot be averaged")
    repeated = [
        ("rows", table.rows.dimensions),
        ("columns", table.columns.dimensions),
        ("metrics", table.metrics),
        ("from", table.evaluations),
    ]
    for key, names in repeated:
        if len(set(names)) < len(names):
            problems.add((*at, key), "duplicate-value", f"{key} names the same twice: {', '.join(names)}")
    for key, names in (("within", table.within), ("average_over", table.average_over)):
        for name in names:
            if name not in known and name not in free:
                problems.add(
                    (*at, key), "unknown-dimension", unknown("dimension", name, [*known, *sorted(free)])
                )
    for name, where in table.attributes.items():
        _selection(where, known, free, (*at, "attributes", name), problems)
    _baseline(table, known, free, at, problems)


def _baseline(
    table: TableSpec,
    known: Mapping[str, Sequence[str]],
    free: Collection[str],
    at: tuple[str, ...],
    problems: Problems,
) -> None:
    baseline = {name: (label,) for name, label in table.baseline.items()}
    before = len(problems)
    _selection(baseline, known, free, (*at, "baseline"), problems)
    axes = (table.rows, table.columns)
    named = {name for axis in axes for name in axis.dimensions}
    named |= {name for axis in axes for each in axis.selections.values() for name in each}
    for name in table.baseline:
        if len(problems) == before and (name not in named or name == METRIC):
            choice = sorted(named - {METRIC})
            message = f"{name!r} is neither in the rows nor in the columns; there are {listed(choice)}"
            problems.add((*at, "baseline", name), "bad-baseline", message, key=True)
    if table.baseline and table.show in ("n", "std"):
        message = f"contrasts are differences of means, and this table shows {table.show!r}; drop one"
        problems.add((*at, "baseline"), "conflict", message, key=True)


def _selection(
    where: Where, known: Mapping[str, Sequence[str]], free: Collection[str], at: Path, problems: Problems
) -> None:
    for name, labels in where.items():
        if name in free and name not in known:
            continue  # labels of what the workload adds are known once it ran
        if name not in known:
            message = unknown("dimension", name, [*known, *sorted(free)])
            problems.add((*at, name), "unknown-dimension", message, key=True)
            continue
        for label in labels:
            if label not in known[name]:
                message = f"{name}: {unknown('label', label, known[name])}"
                problems.add((*at, name), "unknown-label", message)


def _ambiguous(
    table: TableSpec,
    observed: Observed,
    reported: Mapping[str, Collection[str]],
    names: Sequence[str],
    at: tuple[str, ...],
    problems: Problems,
) -> None:
    """Notes entries into which two observations of one seed fall that differ in another dimension."""
    pinned = {*table.rows.dimensions, *table.columns.dimensions, *table.average_over}
    others = [name for name in names if name not in pinned]
    told: set[str] = set()
    first: dict[tuple[object, ...], Mapping[str, str]] = {}
    for metric in table.metrics:
        early = {name: labels for name, labels in table.where.items() if name not in (METRIC, EVALUATION)}
        for source, labels in observed:
            if not selected(early, labels):
                continue
            # a training is observed twice: at its end, and as its curves
            for evaluation in ("test", "train") if source == "test" else (source,):
                if evaluation not in reported[metric]:
                    continue
                full = {**labels, METRIC: metric, EVALUATION: evaluation}
                if not selected(table.where, full):
                    continue
                for row in _entries(table.rows, full):
                    for column in _entries(table.columns, full):
                        before = first.setdefault((row, column), full)
                        if before is not full and any(before[name] != full[name] for name in others):
                            _tell(table, before, full, others, at, told, problems)


def _entries(axis: Axis, labels: Mapping[str, str]) -> list[tuple[str, ...]]:
    if axis.selections:
        return [(label,) for label, where in axis.selections.items() if selected(where, labels)]
    return [tuple([labels[name] for name in axis.dimensions if name in labels])]


def _tell(
    table: TableSpec,
    one: Mapping[str, str],
    two: Mapping[str, str],
    others: Sequence[str],
    at: tuple[str, ...],
    told: set[str],
    problems: Problems,
) -> None:
    for name in others:
        if one[name] != two[name]:
            if name not in told:
                told.add(name)
                asked = "pool" if table.root == "claims" else "average_over"
                average = "" if name == METRIC else f", or say {asked}: [{name}]"
                places = {"claims": "", "plots": f", make {name!r} x, series or panels"}
                other = places.get(table.root, f", put {name!r} in rows or columns")
                message = (
                    f"two labels of {name!r} fit one entry of {table.root[:-1]} {table.name!r}: "
                    f"{one[name]!r} and {two[name]!r}; select one with where{other}{average}"
                )
                problems.add(at, "ambiguous-entry", message, key=True)
            return
