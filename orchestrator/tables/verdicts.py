"""Printed values beside our own, and a verdict where data and recipe are the paper's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.study import PrintedValue
from orchestrator.model.table import Entry, Printed
from orchestrator.stats.printed import LEVEL, agreement
from orchestrator.stats.sequential import corrected_level
from orchestrator.tables.entries import Place, Sample, Samples
from orchestrator.tables.numbers import Form
from orchestrator.tables.problems import Context

MEANS: Final = ("mean ± std", "mean [ci95]", "mean [bootstrap95]", "mean")

# Cell -> what keeps it from being compared ("" for nothing).
Differences = Mapping[str, str]


def compared(
    context: Context,
    frame: Frame,
    units: pl.DataFrame,
    samples: Samples,
    entries: Mapping[Place, Entry],
    forms: Mapping[str, Form],
    differences: Differences,
) -> tuple[dict[Place, Entry], str]:
    """Returns the entries with the values printed in their place, and why some have no verdict.

    Args:
        context: The table.
        frame: Gives the names of the dimensions.
        units: What `observe` gave, placed on both axes.
        samples: (row, column) -> what became of its seeds.
        entries: Likewise -> what is printed.
        forms: Metric -> how numbers are printed.
        differences: Cell -> what keeps it from being compared.

    Raises:
        StudyError: Several printed values fit one entry.
    """
    published = context.spec.published
    changed, why = dict(entries), ""
    level = corrected_level(LEVEL, frame.looks)
    if published is None:
        return changed, why
    names = [each.name for each in frame.dimensions]
    columns = [pl.col(f"@{name}").unique() for name in names]
    grouped = units.group_by("rows", "columns").agg(*columns, pl.col("cell").unique().sort())
    for line in grouped.sort("rows", "columns").iter_rows(named=True):
        place = line["rows"], line["columns"]
        labels = {name: line[f"@{name}"][0] if len(line[f"@{name}"]) == 1 else None for name in names}
        value = _fitting(context, labels, samples[place].metric, place)
        if value is None:
            continue
        reason = _reason(context, line["cell"], differences)
        why = why or reason
        found = Printed(
            text=_text(value, forms[samples[place].metric]), value=value.value, std=value.std, n=value.n
        )
        if not reason:
            found = _judged(found, value, samples[place], published.margin, level)
        changed[place] = replace(entries[place], printed=found)
    return changed, why


def _fitting(
    context: Context, labels: Mapping[str, str | None], metric: str, place: Place
) -> PrintedValue | None:
    """Returns the printed value of an entry, the one that says most of it."""
    assert context.spec.published is not None
    fitting: dict[int, list[PrintedValue]] = {}
    for value in context.spec.published.values:
        own = {name: label for name, label in value.labels.items() if name in labels}
        if value.metric == metric and all(labels[name] == label for name, label in own.items()):
            fitting.setdefault(len(own), []).append(value)
    if not fitting:
        return None
    best = fitting[max(fitting)]
    if any((each.value, each.std, each.n, each.fail) != _of(best[0]) for each in best):
        rest = sorted({name for each in best for name in each.labels if name not in labels})
        raise context.error(
            "published",
            "ambiguous-entry",
            f"{len(best)} printed values fit one entry (row {place[0] + 1}, column {place[1] + 1}); they "
            f"differ in {', '.join(rest) or 'nothing but their value'}: select with `published.where`",
        )
    return best[0]


def _of(value: PrintedValue) -> tuple[float | None, float | None, int | None, bool]:
    return value.value, value.std, value.n, value.fail


def _reason(context: Context, cells: Iterable[str], differences: Differences) -> str:
    """Returns why an entry gets no verdict, or ""."""
    spec = context.spec
    assert spec.published is not None
    if not spec.published.matches:
        return "the study does not say (`matches`) which data and recipe they compare with"
    if spec.show not in MEANS:
        return f"printed means are compared with means, and this table shows {spec.show}"
    return next((told for told in (_differs(cell, differences) for cell in cells) if told), "")


def _differs(cell: str, differences: Differences) -> str:
    """Returns what differs in a cell, or in any of the cells that a gathered one joins."""
    if cell in differences:
        return differences[cell]
    own = set(filter(None, cell.split(",")))
    return next((told for name, told in differences.items() if told and own <= set(name.split(","))), "")


def _text(value: PrintedValue, form: Form) -> str:
    if value.value is None:
        return "fail"
    text = form.number(value.value)
    return text if value.std is None else f"{text} ± {form.number(value.std)}"


def _judged(
    found: Printed, value: PrintedValue, sample: Sample, margin: float | None, level: float
) -> Printed:
    """Returns the printed value with its verdict, without one while nothing has a result.

    Failing is a result too: it agrees with a printed failure, and disagrees with a printed number.
    """
    fails = sample.counts["fail"]
    if not sample.values and not fails:
        return found
    if sample.failed or value.value is None:
        enough = fails + len(sample.values) >= 2
        same = sample.failed and value.value is None
        return replace(found, verdict=("reproduced" if same else "not reproduced") if enough else "unclear")
    judged = agreement(
        [each for _, each in sample.values],
        value.value,
        std=value.std,
        n=value.n,
        ddof=value.ddof,
        margin=margin,
        level=level,
    )
    return replace(
        found,
        difference=judged.difference,
        interval=judged.interval,
        margin=judged.margin,
        verdict=judged.verdict,
    )
