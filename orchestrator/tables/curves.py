"""Points of training curves: one step of each curve, by a table's `at`."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from orchestrator.model.study import ABSENT
from orchestrator.tables.problems import Context

_LARGER_IS_BETTER = ("accuracy", "score", "correct")


def larger_is_better(metric: str) -> bool:
    """Returns whether a metric's best value is its largest; errors, losses and all else are minimised."""
    return any(word in metric.lower() for word in _LARGER_IS_BETTER)


def pick(context: Context, measured: pl.DataFrame, coordinates: Sequence[str]) -> pl.DataFrame:
    """Returns one row for each line, metric and coordinate: that of the step which `at` names.

    `at` is about training curves; of every other evaluation the last step is taken.

    Args:
        context: The table.
        measured: Rows of the frame's `observed`; the metric of `at: best(...)` must be among them.
        coordinates: Columns of the dimensions that workloads added.

    Raises:
        StudyError: No curve has the step or the metric that `at` names.
    """
    place = ["evaluation", "line", "metric", *coordinates]
    at = context.spec.at
    curves = measured.filter(pl.col("evaluation") == "train")
    others = measured.filter(pl.col("evaluation") != "train")
    if at.rule == "step" and curves.height:
        steps = curves.get_column("step").unique().sort().to_list()
        if at.step not in steps:
            shown = ", ".join(map(str, steps[:8])) + (f", ... {steps[-1]}" if len(steps) > 8 else "")
            raise context.error("at", "unknown-step", f"at: no curve has step {at.step}; there are {shown}")
        curves = curves.filter(pl.col("step") == at.step)
    elif at.rule == "best" and curves.height:
        curves = curves.join(_best_steps(context, curves, coordinates), on=["line", "step"], how="semi")
    latest = pl.concat([curves, others]).sort("step", maintain_order=True)
    return latest.unique(place, keep="last", maintain_order=True)


def _best_steps(context: Context, curves: pl.DataFrame, coordinates: Sequence[str]) -> pl.DataFrame:
    """Returns line -> step where the metric of `at` is best, the earliest of equals."""
    metric = context.spec.at.metric or ""
    named = curves.filter((pl.col("metric") == metric) & pl.col("value").is_finite())
    if not named.height:
        found = ", ".join(sorted(curves.get_column("metric").unique().to_list()))
        message = f"at: no curve has a finite {metric!r}; the table's other metrics on curves: {found}"
        raise context.error("at", "unknown-metric", message)
    # A curve of the whole network decides rather than those of its parts.
    whole = named.filter(pl.all_horizontal(pl.lit(True), *(pl.col(name) == ABSENT for name in coordinates)))
    parts = named.join(whole, on="line", how="anti")
    named = pl.concat([whole, parts])
    order = named.sort(["value", "step"], descending=[larger_is_better(metric), False])
    return order.unique("line", keep="first", maintain_order=True).select("line", "step")
