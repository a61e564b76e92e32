"""Columns that describe the networks of a row: parameters, depth, operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.plan import TrialKey
from orchestrator.model.study import Where
from orchestrator.model.table import Entry
from orchestrator.tables.axes import Headers
from orchestrator.tables.numbers import magnitude
from orchestrator.tables.observe import where
from orchestrator.tables.problems import Context

_NOT_OF_NETWORKS = ("metric", "evaluation")


def column(
    context: Context, frame: Frame, attribute: str, selection: Where, rows: Headers
) -> tuple[Entry, ...]:
    """Returns an attribute's entry for each row, from the descriptions stored with the trainings.

    A row's labels and the table's `where` choose the networks; `selection` overrides both in the dimensions
    that it names. Labels that no training can have (those of test-time factors) choose nothing.

    Args:
        context: The table.
        frame: Holds the descriptions as evaluation "network".
        attribute: The description's metric.
        selection: The dimensions' labels that say whose attribute a row prints.
        rows: The table's rows.

    Raises:
        StudyError: An unknown attribute, dimension or label, or several values in a row.
    """
    spec, key = context.spec, f"attributes.{attribute}"
    where(context, frame, selection, key, ())
    described = frame.observed.filter(pl.col("evaluation") == "network")
    found = sorted(described.get_column("metric").unique().to_list())
    if found and attribute not in found:
        raise context.unknown("attributes", "attribute", attribute, found)
    described = described.filter(pl.col("metric") == attribute)
    trained = frame.planned.filter(pl.col("evaluation") == "test")
    entries: list[Entry] = []
    for labels in rows.labels:
        row = _row_selection(spec.rows.dimensions, spec.rows.selections, labels)
        chosen = {**spec.where, **row, **selection}
        networks = described
        for dimension, allowed in chosen.items():
            name = f"@{dimension}"
            if dimension in _NOT_OF_NETWORKS or name not in trained.columns:
                continue
            possible = trained.get_column(name).is_in(list(allowed)).any()
            if possible or dimension in selection:
                networks = networks.filter(pl.col(name).is_in(list(allowed)))
        entries.append(_entry(context, frame, attribute, networks, labels))
    return tuple(entries)


def _row_selection(
    dimensions: Sequence[str], selections: Mapping[str, Where], labels: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    if selections:
        return selections[labels[0]]
    return {dimension: (label,) for dimension, label in zip(dimensions, labels, strict=True)}


def _entry(
    context: Context, frame: Frame, attribute: str, networks: pl.DataFrame, labels: Sequence[str]
) -> Entry:
    values = networks.get_column("value").drop_nulls().unique().sort().to_list()
    if not values:
        return Entry(text=context.spec.missing, status="pending")
    if len(values) > 1:
        differing = [
            f"{each.name} ({', '.join(networks.get_column(f'@{each.name}').unique().sort())})"
            for each in frame.dimensions
            if networks.get_column(f"@{each.name}").n_unique() > 1
        ]
        raise context.error(
            f"attributes.{attribute}",
            "ambiguous-attribute",
            f"{attribute} has {len(values)} values in row {', '.join(labels) or '1'}: "
            f"{', '.join(map(magnitude, values[:5]))}; the row's networks differ in {', '.join(differing)}. "
            f"Say whose to print: `attributes: {{{attribute}: {{dimension: label}}}}`",
        )
    trials = tuple(TrialKey(key) for key in networks.get_column("trial").unique(maintain_order=True))
    return Entry(text=magnitude(values[0]), estimate=values[0], trials=trials)
