"""From observations to one value for each entry and seed."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.plan import State
from orchestrator.model.study import FailWhen
from orchestrator.tables.observe import check_dimension, column_of
from orchestrator.tables.problems import Context

_ENTRY = ["rows", "columns"]
_NO_RESULT_YET = [State.PENDING.value, State.RUNNING.value, State.CANCELLED.value]


def by_seed(context: Context, frame: Frame, units: pl.DataFrame) -> pl.DataFrame:
    """Returns one line for each entry and seed.

    Columns: rows, columns, seed, value (draws averaged first, then `average_over`), draws (how many),
    status ("value", "fail", "error", "blocked", "pending" or "absent"), message.
    A seed with any diverged observation failed; one that lacks any is not averaged over the others.

    Args:
        context: The table.
        frame: Gives the names of the dimensions.
        units: What `observe` gave, placed on both axes.

    Raises:
        StudyError: Observations of one seed in one entry differ in a dimension that nobody averages.
    """
    names = [each.name for each in frame.dimensions]
    check_single(context, units, names)
    identity = [column_of(name) for name in ("evaluation", "metric", *names)]
    nets = units.group_by(*_ENTRY, "seed", *identity, maintain_order=True).agg(
        _mean("value"),
        _mean("judged"),
        pl.col("draw").n_unique().alias("draws"),
        pl.col("state"),
        pl.col("message"),
    )
    seeds = nets.group_by(*_ENTRY, "seed", maintain_order=True).agg(
        _mean("value"),
        _mean("judged"),
        pl.col("draws").max(),
        pl.col("state").explode(),
        pl.col("message").explode(),
    )
    return seeds.with_columns(
        _status(context.spec.fail_when).alias("status"),
        pl.col("message")
        .list.filter(pl.element() != "")
        .list.unique(maintain_order=True)
        .list.join("; ")
        .alias("message"),
    ).drop("state")


def check_single(context: Context, units: pl.DataFrame, names: Sequence[str]) -> None:
    """Checks that in no entry two observations of one seed differ in another dimension's label.

    Raises:
        StudyError: Two do; it names entry, dimensions and labels, and what to do.
    """
    for name in context.spec.average_over:
        if name not in (*names, "evaluation"):
            raise context.unknown("average_over", "dimension", name, [*names, "evaluation"])
    free = [name for name in ("metric", "evaluation", *names) if name not in context.spec.average_over]
    counts = units.group_by(*_ENTRY, "seed", maintain_order=True).agg(
        pl.col(column_of(name)).n_unique() for name in free
    )
    mixed = counts.filter(pl.any_horizontal(pl.col(column_of(name)) > 1 for name in free))
    if not mixed.height:
        return
    first = mixed.row(0, named=True)
    together = units.filter(
        (pl.col("rows") == first["rows"])
        & (pl.col("columns") == first["columns"])
        & (pl.col("seed") == first["seed"])
    )
    differing = [name for name in free if first[column_of(name)] > 1]
    told = "; ".join(
        f"{name}: " + ", ".join(repr(label) for label in together.get_column(column_of(name)).unique().sort())
        for name in differing
    )
    fixed = [name for name in names if name not in differing and first.get(column_of(name), 0) == 1]
    entry = ", ".join(f"{name}={together.item(0, column_of(name))}" for name in fixed)
    raise context.error(
        "",
        "ambiguous-entry",
        f"{together.height} observations of seed {first['seed']} in one entry ({entry}) differ in {told}. "
        f"An entry is a statistic over seeds only: select one label with `where`, make "
        f"{' or '.join(differing)} a row or a column, or ask for `average_over: [{', '.join(differing)}]`",
    )


def within_labels(
    context: Context, frame: Frame, units: pl.DataFrame
) -> dict[tuple[int, int], tuple[str, ...]]:
    """Returns (row, column) -> the group that its entry competes in: its metric and `within` labels.

    Raises:
        StudyError: An unknown dimension.
    """
    for dimension in context.spec.within:
        check_dimension(context, frame, dimension, "within")
    columns = list(dict.fromkeys(["metric", *(column_of(name) for name in context.spec.within)]))
    groups = units.unique(_ENTRY, keep="first", maintain_order=True).select(*_ENTRY, *columns)
    return {(row[0], row[1]): tuple(row[2:]) for row in groups.rows()}


def _mean(name: str) -> pl.Expr:
    """Returns the mean of a group, null when any member has no value."""
    return pl.when(pl.col(name).null_count() == 0).then(pl.col(name).mean()).alias(name)


def _status(fail_when: FailWhen | None) -> pl.Expr:
    """Returns what became of a seed; a value that is no number cannot enter a statistic and fails."""

    def any_of(*states: str) -> pl.Expr:
        return pl.col("state").list.eval(pl.element().is_in(list(states))).list.any()

    failed = ~pl.col("value").is_finite()
    if fail_when is not None:
        judged, limit = pl.col("judged"), fail_when.threshold
        exceeds = {
            ">": judged > limit,
            ">=": judged >= limit,
            "<": judged < limit,
            "<=": judged <= limit,
        }[fail_when.comparison]
        failed = failed | exceeds.fill_null(False)
    return (
        pl.when(any_of(State.DIVERGED.value))
        .then(pl.lit("fail"))
        .when(any_of(State.FAILED.value))
        .then(pl.lit("error"))
        .when(any_of(State.BLOCKED.value))
        .then(pl.lit("blocked"))
        .when(any_of(*_NO_RESULT_YET))
        .then(pl.lit("pending"))
        .when(pl.col("value").is_null())
        .then(pl.lit("absent"))
        .when(failed)
        .then(pl.lit("fail"))
        .otherwise(pl.lit("value"))
    )
