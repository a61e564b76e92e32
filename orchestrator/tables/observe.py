"""Observations of a table: every planned value, measured or not, one line each.

Columns of the result: evaluation, metric, "@dimension" columns, seed, draw, trial, state, message, value
(null without a result) and judged (the value that `fail_when` looks at).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.plan import Dimension, State
from orchestrator.model.study import ABSENT, Where
from orchestrator.tables.curves import pick
from orchestrator.tables.problems import Context

_ID = ["evaluation", "line"]


def column_of(dimension: str) -> str:
    """Returns the frame's column of a dimension; "metric" and "evaluation" count as dimensions."""
    return dimension if dimension in ("metric", "evaluation") else f"@{dimension}"


def metrics_of(context: Context, frame: Frame) -> tuple[str, ...]:
    """Returns the metrics a table prints; one that names none prints the only one there is.

    Raises:
        StudyError: It names none and there are several.
    """
    if context.spec.metrics:
        return context.spec.metrics
    asked = frame.observed.filter(pl.col("evaluation").is_in(context.spec.evaluations))
    found = sorted(asked.get_column("metric").unique().to_list())
    if len(found) > 1:
        raise context.error(
            "metric", "ambiguous-entry", f"no metric is named, and there are {', '.join(found)}; name one"
        )
    return tuple(found) or ("value",)


def observe(context: Context, frame: Frame, metrics: Sequence[str]) -> pl.DataFrame:
    """Returns every planned observation that the table's `from` and `where` select.

    A trial with a result is planned for what it reported. One without is planned for what others
    of its kind reported: the same metrics and, where the workload adds coordinates, the coordinates
    that other seeds of its cell have, or else any cell.

    Raises:
        StudyError: A dimension, label, metric or step that does not exist.
    """
    spec = context.spec
    lines = _lines(frame, spec.evaluations)
    judge = spec.fail_when.metric if spec.fail_when else None
    wanted = {*metrics, *filter(None, (judge, spec.at.metric))}
    asked = frame.observed.filter(pl.col("evaluation").is_in(spec.evaluations))
    if all(State(state).has_result for state in lines.get_column("state").unique()):
        _check_metrics(context, asked, metrics)
    measured = asked.filter(pl.col("metric").is_in(list(wanted)))
    coordinates = _coordinates(frame, lines, measured)
    place = [*_ID, "metric", *coordinates]
    picked = pick(context, measured, coordinates)
    reported = measured.filter(pl.col("metric").is_in(list(metrics))).unique(place, keep="any")
    units = _units(lines, reported, metrics, coordinates)
    # Values: null where the curve has no such step.
    units = units.join(picked.select(*place, "value"), on=place, how="left")
    judged = picked.filter(pl.col("metric").is_in([judge] if judge else []))
    judged = judged.select(*_ID, *coordinates, pl.col("value").alias("judged"))
    units = units.join(judged, on=[*_ID, *coordinates], how="left")
    selection = where(context, frame, spec.where, "where", metrics)
    return units.filter(selection).sort("line", "evaluation", "metric", *coordinates)


def completed(context: Context, frame: Frame) -> Frame:
    """Returns the frame with dimensions that the table names and that results have yet to bring.

    Coordinates are known from results only. While something has no result, a dimension that nobody
    declared may still come, and its label is "–" until then; afterwards it is an error.
    """
    spec = context.spec
    lines = _lines(frame, spec.evaluations)
    if all(State(state).has_result for state in lines.get_column("state").unique()):
        return frame
    selections = [spec.where, *spec.rows.selections.values(), *spec.columns.selections.values()]
    named = [*spec.rows.dimensions, *spec.columns.dimensions, *spec.within, *spec.average_over]
    named += [dimension for selection in selections for dimension in selection]
    known = {"metric", "evaluation", *(each.name for each in frame.dimensions)}
    new = [name for name in dict.fromkeys(named) if name not in known]
    return replace(
        frame,
        dimensions=[*frame.dimensions, *(Dimension(name=name, labels=()) for name in new)],
        observed=frame.observed.with_columns(pl.lit(ABSENT).alias(f"@{name}") for name in new),
    )


def _coordinates(frame: Frame, lines: pl.DataFrame, measured: pl.DataFrame) -> list[str]:
    """Returns the columns of dimensions in which one planned line may have several observations.

    They are those that only results have, and those of the study's that a workload's coordinate shares.
    """
    labels = [f"@{each.name}" for each in frame.dimensions]
    declared = [label for label in labels if label in lines.columns]
    plan = lines.unique("line").select("line", *declared)
    both = measured.select("line", *declared).join(plan, on="line", suffix="?")
    moved = both.select((pl.col(label) != pl.col(f"{label}?")).any().alias(label) for label in declared)
    return [label for label in labels if label not in declared or moved.item(0, label)]


def where(context: Context, frame: Frame, labels: Where, key: str, metrics: Sequence[str]) -> pl.Expr:
    """Returns the selection of the lines that bear one of the labels in each dimension.

    Raises:
        StudyError: An unknown dimension or label, with the nearest known one.
    """
    selection = pl.lit(True)
    for dimension, allowed in labels.items():
        check_dimension(context, frame, dimension, key)
        known = _labels(context, frame, dimension, metrics)
        for label in allowed:
            if known is not None and label not in known:
                raise context.unknown(f"{key}.{dimension}", "label", label, known)
        selection &= pl.col(column_of(dimension)).is_in(list(allowed))
    return selection


def check_dimension(context: Context, frame: Frame, dimension: str, key: str) -> None:
    """Checks that a dimension exists.

    Raises:
        StudyError: It does not, with the nearest known one.
    """
    names = [*(each.name for each in frame.dimensions), "metric", "evaluation"]
    if dimension not in names:
        raise context.unknown(key, "dimension", dimension, names)


def _labels(context: Context, frame: Frame, dimension: str, metrics: Sequence[str]) -> Sequence[str] | None:
    """Returns the labels of a dimension, or None where they are not known before the results."""
    if dimension == "evaluation":
        return context.spec.evaluations
    if dimension == "metric":
        return metrics
    column = f"@{dimension}"
    if column not in frame.planned.columns:
        return None  # a coordinate: what is not yet measured is not yet known
    declared = next(each.labels for each in frame.dimensions if each.name == dimension)
    return [*declared, *frame.planned.get_column(column).unique().sort().to_list(), ABSENT]


def _lines(frame: Frame, evaluations: Sequence[str]) -> pl.DataFrame:
    """Returns the planned lines of the evaluations; the description of a network is planned as its test."""
    lines = frame.planned
    if "network" in evaluations:
        network = lines.filter(pl.col("evaluation") == "test").with_columns(evaluation=pl.lit("network"))
        lines = pl.concat([lines, network])
    return lines.filter(pl.col("evaluation").is_in(list(evaluations)))


def _check_metrics(context: Context, known: pl.DataFrame, metrics: Sequence[str]) -> None:
    """Checks, once everything has a result, that somebody reported each metric."""
    found = sorted(known.get_column("metric").unique().to_list())
    for metric in metrics:
        if found and metric not in found:
            raise context.unknown("metric", "metric", metric, found)


def _units(
    lines: pl.DataFrame, reported: pl.DataFrame, metrics: Sequence[str], coordinates: Sequence[str]
) -> pl.DataFrame:
    """Returns the planned lines, each for every metric and coordinate that it is planned for."""
    place = ["metric", *coordinates]
    # Coordinates may bear a dimension's name, so labels come from what was reported.
    own = [name for name in lines.columns if not name.startswith("@")]
    labels = [name for name in reported.columns if name.startswith("@")]
    done = lines.filter(pl.col("state") == State.SUCCEEDED.value).select(own)
    measured = done.join(reported.select(*_ID, "metric", *labels), on=_ID, how="inner")
    # A diverged trial counts as failed wherever it is planned, whatever it reported before.
    rest = lines.filter(pl.col("state") != State.SUCCEEDED.value)
    kind = [name for name in lines.columns if name.startswith("@") and name not in coordinates]
    kind = ["evaluation", "cell", *kind]
    by_cell = lines.select("line", *kind).join(reported.select(*_ID, *place), on=_ID, how="inner")
    by_cell = by_cell.select(*kind, *place).unique()
    bare = rest.drop(coordinates, strict=False)
    like_cell = bare.join(by_cell, on=kind, how="inner")
    by_evaluation = reported.select("evaluation", *place).unique()
    like_evaluation = bare.join(by_cell, on=kind, how="anti").join(
        by_evaluation, on="evaluation", how="inner"
    )
    blind = rest.join(by_cell, on=kind, how="anti").join(by_evaluation, on="evaluation", how="anti")
    blind = blind.join(pl.DataFrame({"metric": list(metrics)}, schema={"metric": pl.String}), how="cross")
    unknown = [name for name in coordinates if name not in blind.columns]
    blind = blind.with_columns(pl.lit(ABSENT).alias(name) for name in unknown)
    return pl.concat([measured, like_cell, like_evaluation, blind], how="diagonal")
