"""Rows and columns of a table: which observation belongs where, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.study import Axis
from orchestrator.tables.observe import check_dimension, column_of, where
from orchestrator.tables.problems import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """Headers of one axis.

    Attributes:
        names: One for each nesting level; empty for selections and for an axis that is not declared.
        labels: Of each row (or column), outermost first.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]


def place(
    context: Context, frame: Frame, units: pl.DataFrame, axis: Axis, key: str, metrics: Sequence[str]
) -> tuple[pl.DataFrame, Headers]:
    """Returns the observations with their position on the axis, in a column named `key`.

    Positions without any planned observation do not exist: their labels are dropped.

    Args:
        context: The table.
        frame: Gives the dimensions' order.
        units: What `observe` gave.
        axis: Rows or columns.
        key: "rows" or "columns".
        metrics: Of the table, in their order.

    Raises:
        StudyError: An unknown dimension or label.
    """
    if axis.selections:
        return _selected(context, frame, units, axis, key, metrics)
    for dimension in axis.dimensions:
        check_dimension(context, frame, dimension, key)
    if not axis.dimensions:
        labels: tuple[tuple[str, ...], ...] = ((),) if units.height else ()
        return units.with_columns(pl.lit(0, dtype=pl.Int64).alias(key)), Headers(names=(), labels=labels)
    columns = [column_of(dimension) for dimension in axis.dimensions]
    ranks = [_ranks(context, frame, dimension, metrics) for dimension in axis.dimensions]
    combinations = sorted(
        units.select(columns).unique().rows(),
        key=lambda row: [(rank.get(label, len(rank)), label) for rank, label in zip(ranks, row, strict=True)],
    )
    positions = pl.DataFrame(combinations, schema=dict.fromkeys(columns, pl.String), orient="row")
    positions = positions.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(key))
    placed = units.join(positions, on=columns, how="inner", maintain_order="left")
    return placed, Headers(names=axis.dimensions, labels=tuple(combinations))


def _selected(
    context: Context, frame: Frame, units: pl.DataFrame, axis: Axis, key: str, metrics: Sequence[str]
) -> tuple[pl.DataFrame, Headers]:
    """Returns the observations of each named selection; one may be in several."""
    chosen: list[pl.DataFrame] = []
    labels: list[tuple[str, ...]] = []
    for label, selection in axis.selections.items():
        found = units.filter(where(context, frame, selection, f"{key}.{label}", metrics))
        if found.height:
            chosen.append(found.with_columns(pl.lit(len(labels), dtype=pl.Int64).alias(key)))
            labels.append((label,))
    if not chosen:
        return units.clear().with_columns(pl.lit(0, dtype=pl.Int64).alias(key)), Headers(names=(), labels=())
    return pl.concat(chosen), Headers(names=(), labels=tuple(labels))


def _ranks(context: Context, frame: Frame, dimension: str, metrics: Sequence[str]) -> Mapping[str, int]:
    """Returns label -> position in the order of the dimension."""
    labels: Sequence[str]
    if dimension == "metric":
        labels = metrics
    elif dimension == "evaluation":
        labels = context.spec.evaluations
    else:
        labels = next(each.labels for each in frame.dimensions if each.name == dimension)
    return {label: rank for rank, label in enumerate(labels)}
