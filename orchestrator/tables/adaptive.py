"""How many seeds each cell is to have by its study's rule: a function of the results, and of nothing else.

A cell is looked at once its seeds so far have come to an end, in the order of the seeds: results that other
studies happen to have of later seeds play no part, so that who resumes, or starts again elsewhere, comes to
the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from orchestrator.model.adaptive import Adaptive
from orchestrator.model.claim import Verdict
from orchestrator.model.frame import Frame
from orchestrator.model.plan import Grants, Reach, TrialKey
from orchestrator.model.study import Axis, ClaimSpec, TableSpec
from orchestrator.stats.sequential import repeated_interval
from orchestrator.tables.build import build
from orchestrator.tables.claims import examine


def grants(
    rule: Adaptive, claim: ClaimSpec | None, frame: Frame, reach: Reach, seeds: Sequence[int]
) -> dict[str, int]:
    """Returns cell -> how many of the seeds, the first of them, it is to have as the results stand.

    Args:
        rule: The study's.
        claim: The claim that the rule names, if it names one.
        frame: What is planned of all seeds that a cell may get, and measured so far, with the rule's looks.
        reach: Which cells' networks an observation needs.
        seeds: In their order.

    Raises:
        StudyError: What the rule looks at cannot be put together.
    """
    granted = dict.fromkeys(sorted(reach.cells), rule.least)
    while True:
        part = limited(frame, granted, reach, seeds)
        more: dict[str, int] = {}
        for cells in _open(rule, claim, part, reach):
            fewest = min(granted[cell] for cell in cells)
            if fewest < rule.most:
                raised = min(rule.most, fewest + rule.step)
                more |= {cell: raised for cell in cells if granted[cell] == fewest}
        if not more:
            return granted
        granted |= more


def limited(frame: Frame, granted: Grants, reach: Reach, seeds: Sequence[int]) -> Frame:
    """Returns the frame without the seeds that are not granted to all cells that an observation needs."""
    rows = [
        (evaluation, cell, seed)
        for evaluation, cell in reach.members
        for seed in seeds[: reach.limit((evaluation, cell), granted)]
    ]
    schema = {"asked": pl.String, "cell": pl.String, "seed": pl.Int64}
    allowed = pl.DataFrame(rows, schema=schema, orient="row")
    lines = frame.planned.with_columns(
        # The curves of a training are planned with its test.
        asked=pl.when(pl.col("evaluation") == "train").then(pl.lit("test")).otherwise(pl.col("evaluation"))
    )
    planned = lines.join(allowed, on=list(schema), how="semi", maintain_order="left").drop("asked")
    observed = frame.observed.join(
        planned.select("line").unique(), on="line", how="semi", maintain_order="left"
    )
    return replace(frame, planned=planned, observed=observed)


def _open(rule: Adaptive, claim: ClaimSpec | None, frame: Frame, reach: Reach) -> Iterator[set[str]]:
    """Yields the cells of each part of the question that all results are in of, and that is still open."""
    if claim is not None:
        for pair, evidence in examine(claim, frame):
            entries = pair.one[1], pair.other[1]
            # What failed for the most part would fail on; an error is to be mended first.
            if evidence.verdict is Verdict.UNCLEAR and all(entry.status == "ok" for entry in entries):
                yield _cells(reach, [key for entry in entries for key in entry.trials])
        return
    names = tuple(each.name for each in frame.dimensions)
    for evaluation in rule.evaluations:
        spec = TableSpec(
            name="until",
            evaluations=(evaluation,),
            rows=Axis(dimensions=names),
            metrics=(rule.metric,),
            root="seeds",
        )
        for line in build(spec, frame).entries:
            for entry in line:
                if entry.status == "ok" and not _narrow(rule, [value for _, value in entry.values], frame):
                    yield _cells(reach, entry.trials)


def _narrow(rule: Adaptive, values: Sequence[float], frame: Frame) -> bool:
    interval = repeated_interval(values, count=frame.looks) if len(values) > 1 else None
    return interval is not None and (interval[1] - interval[0]) / 2 <= rule.half_width


def _cells(reach: Reach, trials: Iterable[TrialKey]) -> set[str]:
    found: Mapping[TrialKey, frozenset[str]] = reach.needed
    return {cell for key in trials for cell in found[key]}
