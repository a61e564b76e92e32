"""Contrasts of a table: each entry against the one that has the baseline's labels and else the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.model.frame import Frame
from orchestrator.model.study import ABSENT, Axis, TableSpec
from orchestrator.model.table import Contrast, Entry
from orchestrator.stats import compare
from orchestrator.stats.estimate import LEVEL
from orchestrator.stats.sequential import corrected_level
from orchestrator.tables import axes
from orchestrator.tables.axes import Headers
from orchestrator.tables.entries import Place, Sample, Samples
from orchestrator.tables.numbers import Form
from orchestrator.tables.observe import completed, metrics_of, observe
from orchestrator.tables.problems import Context


def references(
    context: Context, rows: Headers, columns: Headers, places: Iterable[Place]
) -> dict[Place, Place | None]:
    """Returns place -> the place it is compared with, None where that one is not planned.

    The baseline's own places are left out.

    Args:
        context: The table.
        rows: The table's rows.
        columns: Its columns, those of attributes left out.
        places: (row, column) of every entry.

    Raises:
        StudyError: A dimension of the baseline is neither in the rows nor in the columns.
    """
    spec, known = context.spec, set(places)
    if not spec.baseline:
        return {}
    row, in_rows = _moved(context, spec.rows, rows, spec.columns)
    column, in_columns = _moved(context, spec.columns, columns, spec.rows)
    for dimension in spec.baseline:
        if dimension not in in_rows | in_columns:
            raise context.error(
                "baseline",
                "bad-baseline",
                f"baseline: {dimension!r} is neither in the rows nor in the columns; name a dimension of "
                "theirs, or the labels of one of their selections",
            )
    found: dict[Place, Place | None] = {}
    for place in known:
        other = row.get(place[0]), column.get(place[1])
        if other != place:
            there = (other[0], other[1]) if other[0] is not None and other[1] is not None else None
            found[place] = there if there in known else None
    return found


def _moved(
    context: Context, axis: Axis, headers: Headers, across: Axis
) -> tuple[dict[int, int | None], set[str]]:
    """Returns position -> the baseline's position on an axis, and the dimensions that this settles."""
    baseline = context.spec.baseline
    positions = {labels: index for index, labels in enumerate(headers.labels)}
    if not axis.selections:
        names = axis.dimensions  # none for an axis that is not declared: its header is no label
        moved = {
            index: positions.get(tuple(map(baseline.get, names, labels))) if names else index
            for labels, index in positions.items()
        }
        return moved, set(names) & set(baseline)
    rest = {name: label for name, label in baseline.items() if name not in across.dimensions}
    fitting = [
        label
        for label, selection in axis.selections.items()
        if rest and all(selection.get(name) == (each,) for name, each in rest.items())
    ]
    if len(fitting) > 1:
        raise context.error(
            "baseline", "bad-baseline", f"baseline: {' and '.join(map(repr, fitting))} both fit; name more"
        )
    if not fitting:
        return {index: index for index in positions.values()}, set()
    return dict.fromkeys(positions.values(), positions.get((fitting[0],))), set(rest)


def planned_contrasts(spec: TableSpec, frame: Frame) -> int:
    """Returns how many contrasts a table will have, as far as that is known from what is planned.

    Args:
        spec: A table with a baseline.
        frame: What is planned, with or without results.

    Raises:
        StudyError: As of building the table.
    """
    context = Context(spec=spec, places={})
    frame = completed(context, frame)
    metrics = metrics_of(context, frame)
    units, rows = axes.place(context, frame, observe(context, frame, metrics), spec.rows, "rows", metrics)
    units, columns = axes.place(context, frame, units, spec.columns, "columns", metrics)
    places = units.select("rows", "columns").unique().rows()
    return sum(other is not None for other in references(context, rows, columns, places).values())


def contrast(sample: Sample, other: Sample, spec: TableSpec, *, looks: int = 1) -> compare.Contrast | None:
    """Returns how much larger the values of one entry are than the other's, None without a common seed.

    Args:
        sample: Of the entry.
        other: Of the one it is compared with.
        spec: Says how: seed by seed, over seeds with a value in both, or by Welch's test; and by which test.
        looks: How often they may have been looked at while seeds were added; p is of all of them.
    """
    found = _contrast(sample, other, spec, corrected_level(LEVEL, looks))
    return found if found is None or found.p is None else replace(found, p=min(1.0, looks * found.p))


def _contrast(sample: Sample, other: Sample, spec: TableSpec, level: float) -> compare.Contrast | None:
    ours, theirs = dict(sample.values), dict(other.values)
    if sample.failed or other.failed:
        return None
    if spec.paired:
        common = [seed for seed in ours if seed in theirs]
        if not common:
            return None
        ours_R, theirs_R = [ours[seed] for seed in common], [theirs[seed] for seed in common]
        return compare.paired(ours_R, theirs_R, level=level, test=spec.test)
    if not ours or not theirs:
        return None
    return compare.welch(list(ours.values()), list(theirs.values()), level=level)


def contrasted(
    spec: TableSpec,
    samples: Samples,
    entries: Mapping[Place, Entry],
    reference: Mapping[Place, Place | None],
    forms: Mapping[str, Form],
    *,
    looks: int = 1,
) -> dict[Place, Entry]:
    """Returns the entries with their contrasts, p corrected over all of them.

    Args:
        spec: The table.
        samples: (row, column) -> what became of its seeds.
        entries: Likewise -> what is printed.
        reference: What `references` gave.
        forms: Metric -> how numbers are printed.
        looks: As of `contrast`.
    """
    found = {
        place: None if other is None else contrast(samples[place], samples[other], spec, looks=looks)
        for place, other in reference.items()
    }
    p = {place: each.p for place, each in found.items() if each is not None and each.p is not None}
    corrected = dict(zip(p, compare.holm(list(p.values())), strict=True))
    changed = dict(entries)
    for place, each in found.items():
        changed[place] = replace(
            entries[place], contrast=_printed(spec, samples[place], each, corrected.get(place), forms)
        )
    return changed


def _printed(
    spec: TableSpec,
    sample: Sample,
    found: compare.Contrast | None,
    corrected: float | None,
    forms: Mapping[str, Form],
) -> Contrast:
    if found is None:
        return Contrast(text=ABSENT)
    text = ABSENT
    if found.interval is not None and corrected is not None:
        form = forms[sample.metric]
        parts: list[str] = []
        remarks: list[str] = []
        if "difference" in spec.contrasts:
            parts.append(form.difference(found.difference))
        if "interval" in spec.contrasts:
            low, high = map(form.difference, found.interval)
            parts.append(f"[{low}, {high}]")
        if "p" in spec.contrasts:
            remarks.append("p < 0.001" if corrected < 0.001 else f"p = {corrected:.3f}")
        if found.n != len(sample.outcomes):
            remarks.append(f"n = {found.n}")
        told = ", ".join(remarks)
        text = " ".join([*parts, f"({told})"] if parts and told else parts) or told
    return Contrast(
        text=text,
        difference=found.difference,
        interval=found.interval,
        p=found.p,
        corrected=corrected,
        n=found.n,
        effect=found.effect,
    )
