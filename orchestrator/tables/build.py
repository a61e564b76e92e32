"""Builds a printed table from its declaration and the frame (rules 8 to 10 of the study language).

observe    what `from`, `where` and `metric` select, planned or measured   (curves: `at`)
axes       on which row and in which column each observation stands
seeds      one value for each entry and seed; nothing is averaged unasked
entries    statistic over seeds, fails, what is pending
marks      the best, and what is not distinguishable from it
contrasts  each entry against the baseline's
verdicts   each entry against what a paper prints
attributes columns that describe networks
notes      what a reader has to know
"""

from __future__ import annotations

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.plan import TrialKey
from orchestrator.model.study import TableSpec
from orchestrator.model.table import Entry, Table
from orchestrator.stats.estimate import SHOWS
from orchestrator.tables import attributes, axes, seeds
from orchestrator.tables.contrasts import contrasted, references
from orchestrator.tables.entries import NEVER_PLANNED, Sample, entries, estimates, forms
from orchestrator.tables.marks import marked
from orchestrator.tables.notes import notes
from orchestrator.tables.observe import completed, metrics_of, observe
from orchestrator.tables.problems import Context, Places
from orchestrator.tables.verdicts import Differences
from orchestrator.tables.verdicts import compared as with_printed


def build(
    spec: TableSpec,
    frame: Frame,
    *,
    title: str = "",
    places: Places | None = None,
    differences: Differences | None = None,
) -> Table:
    """Returns the table: every entry a statistic over seeds, with its values and trials.

    Args:
        spec: The table as declared.
        frame: What was planned and measured.
        title: Caption of a table that declares none.
        places: Document path -> (file, line, column) (`Study.places`), for messages.
        differences: Cell -> what keeps it from being compared with printed values ("" for nothing).

    Raises:
        StudyError: An unknown dimension, label, metric or step, or an entry in which observations of
            one seed differ in a dimension that nobody averages.
    """
    context = Context(spec=spec, places=places or {})
    if spec.show not in SHOWS:
        raise context.unknown("show", "statistic", spec.show, SHOWS)
    frame = completed(context, frame)
    metrics = metrics_of(context, frame)
    units = observe(context, frame, metrics)
    units, rows = axes.place(context, frame, units, spec.rows, "rows", metrics)
    units, columns = axes.place(context, frame, units, spec.columns, "columns", metrics)
    if not spec.columns.dimensions and not spec.columns.selections and columns.labels:
        header = "" if "metric" in spec.rows.dimensions else ", ".join(metrics)
        columns = axes.Headers(names=(), labels=((header,),))
    by_seed = seeds.by_seed(context, frame, units)
    samples = _samples(units, by_seed, seeds.within_labels(context, frame, units))
    estimated = estimates(spec, samples, looks=frame.looks)
    printing = forms(spec, samples, estimated, metrics)
    built = entries(spec, samples, estimated, printing)
    built, compared = marked(spec, samples, built, estimated, printing, looks=frame.looks)
    reference = references(context, rows, columns, samples)
    built = contrasted(spec, samples, built, reference, printing, looks=frame.looks)
    built, unjudged = with_printed(context, frame, units, samples, built, printing, differences or {})
    body = tuple(
        tuple(built.get((row, column), NEVER_PLANNED) for column in range(len(columns.labels)))
        for row in range(len(rows.labels))
    )
    below = notes(
        spec,
        samples,
        built,
        {place: _name(rows, columns, place) for place in built},
        metrics=metrics,
        compared=compared,
        unjudged=unjudged,
        sampling=frame.sampling,
        looks=frame.looks,
        draws=int(by_seed.get_column("draws").max() or 1) if by_seed.height else 1,  # type: ignore[arg-type]
    )
    columns, body = _with_attributes(context, frame, rows, columns, body)
    return Table(
        name=spec.name,
        caption=spec.caption or title,
        row_names=rows.names or (("",) if spec.rows.selections else ()),
        rows=rows.labels,
        column_names=columns.names,
        columns=columns.labels,
        entries=body,
        notes=below,
        show=spec.show,
        contrast_line=f"vs. {', '.join(spec.baseline.values())}" if spec.baseline else "",
        printed_line=spec.published.label if spec.published else "",
    )


def _samples(
    units: pl.DataFrame, by_seed: pl.DataFrame, groups: dict[tuple[int, int], tuple[str, ...]]
) -> dict[tuple[int, int], Sample]:
    """Returns (row, column) -> what became of its seeds, row by row."""
    place = ["rows", "columns"]
    listed = by_seed.sort(*place, "seed").group_by(place, maintain_order=True)
    outcomes = listed.agg("seed", "status", "value", "message")
    trials = units.group_by(place).agg(pl.col("trial").unique(maintain_order=True))
    samples: dict[tuple[int, int], Sample] = {}
    for row, column, seed, status, value, message, keys in outcomes.join(
        trials, on=place, how="left", maintain_order="left"
    ).rows():
        samples[row, column] = Sample(
            metric=groups[row, column][0],
            group=groups[row, column],
            outcomes=tuple(zip(seed, status, value, strict=True)),
            message=next((text for text in message if text), ""),
            trials=tuple(TrialKey(key) for key in keys),
        )
    return samples


def _name(rows: axes.Headers, columns: axes.Headers, place: tuple[int, int]) -> str:
    labels = [*rows.labels[place[0]], *columns.labels[place[1]]]
    return ", ".join(label for label in labels if label) or "entry"


def _with_attributes(
    context: Context,
    frame: Frame,
    rows: axes.Headers,
    columns: axes.Headers,
    body: tuple[tuple[Entry, ...], ...],
) -> tuple[axes.Headers, tuple[tuple[Entry, ...], ...]]:
    """Returns columns and entries with the attributes' columns first."""
    for name, selection in reversed(list(context.spec.attributes.items())):
        described = attributes.column(context, frame, name, selection, rows)
        above = ("",) * (max(1, len(columns.names)) - 1)
        columns = axes.Headers(names=columns.names, labels=((*above, name), *columns.labels))
        body = tuple((entry, *line) for entry, line in zip(described, body, strict=True))
    return columns, body
