"""Marks: the best entries of a group, and those whose seeds do not tell them from the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from orchestrator.model.study import TableSpec
from orchestrator.model.table import Entry
from orchestrator.stats.compare import holm
from orchestrator.stats.estimate import Estimate
from orchestrator.tables.contrasts import contrast
from orchestrator.tables.entries import Place, Samples
from orchestrator.tables.numbers import Form

ALPHA: Final = 0.05
# Statistics that tests of means speak about.
CENTRES: Final = (
    *("mean ± std", "mean [ci95]", "mean [bootstrap95]", "mean"),
    *("median [ci95]", "median", "iqm [ci95]", "iqm"),
)


def marked(
    spec: TableSpec,
    samples: Samples,
    entries: Mapping[Place, Entry],
    estimated: Mapping[Place, Estimate],
    forms: Mapping[str, Form],
    *,
    looks: int = 1,
) -> tuple[dict[Place, Entry], int]:
    """Returns the entries with their marks, and how many were compared with the best of their group.

    Args:
        spec: The table.
        samples: (row, column) -> what became of its seeds.
        entries: Likewise -> what is printed.
        estimated: Likewise -> the statistic.
        forms: Metric -> how numbers are printed.
        looks: How often the samples may have been looked at while seeds were added.
    """
    changed = dict(entries)
    if spec.best is None:
        return changed, 0
    values = {place: each.value for place, each in estimated.items() if each.value is not None}
    groups: dict[tuple[str, ...], list[Place]] = {}
    for place in values:
        groups.setdefault(samples[place].group, []).append(place)
    choose = min if spec.best == "min" else max
    p: dict[Place, float] = {}
    for places in groups.values():
        # As printed: what a reader cannot tell apart is equally good.
        printed = {place: float(forms[samples[place].metric].number(values[place])) for place in places}
        best = choose(printed.values())
        winner = choose(places, key=values.__getitem__)
        for place in places:
            if printed[place] == best:
                changed[place] = replace(changed[place], best=True)
            elif spec.show in CENTRES:
                found = contrast(samples[place], samples[winner], spec, looks=looks)
                if found is not None and found.p is not None:
                    p[place] = found.p
    for place, corrected in zip(p, holm(list(p.values())), strict=True):
        if corrected > ALPHA:
            changed[place] = replace(changed[place], close=True)
    return changed, len(p)
