"""From stored rows and planned assignments to the long frame that tables are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.plan import Assignment, Dimension, State, TrialKey, TrialStatus
from orchestrator.model.run import Cause
from orchestrator.model.study import ABSENT

# What the frame asks of a scan of the parts.
ROW_SCHEMA: Mapping[str, pl.DataType] = {
    "trial": pl.String(),
    "evaluation": pl.String(),
    "coords": pl.String(),
    "seed": pl.Int64(),
    "draw": pl.Int64(),
    "step": pl.Int64(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "outcome": pl.String(),
    "part": pl.String(),
}


_PENDING = TrialStatus()


def frame(
    rows: pl.DataFrame,
    valid: Mapping[TrialKey, str],
    assignments: Sequence[Assignment],
    statuses: Mapping[TrialKey, TrialStatus],
    dimensions: Sequence[Dimension],
) -> Frame:
    """Returns the planned observations of a study and what was measured of them.

    An evaluation whose own network diverged never runs; its planned line takes the state "diverged", so
    that tables count that seed as a fail. A gather that a diverged member blocks stays "blocked". Where
    a workload's coordinate bears the name of a dimension, the coordinate is the label of its rows.

    Args:
        rows: Scan of the parts, with the columns of `ROW_SCHEMA`; `coords` is a JSON object as text.
        valid: Trial -> path of the part that holds its valid rows; its rows elsewhere are ignored.
        assignments: Every planned observation.
        statuses: What is known of the trials; those that are missing are pending.
        dimensions: Every dimension of the study with its labels in display order.

    Raises:
        ValueError: `rows` lacks columns.
    """
    lacking = [name for name in ROW_SCHEMA if name not in rows.columns]
    if lacking:
        raise ValueError(
            f"rows of results lack the columns {', '.join(lacking)}; got {', '.join(rows.columns)}; "
            f"allowed are those that a scan of the parts gives: {', '.join(ROW_SCHEMA)}"
        )
    lines = _lines(assignments, statuses, dimensions)
    texts = rows.lazy().select(pl.col("coords").unique()).collect().get_column("coords").sort().to_list()
    coordinates, added = _coordinates(texts, dimensions)
    labels = [f"@{each.name}" for each in dimensions]
    return Frame(
        dimensions=[*_extended(dimensions, coordinates), *added],
        planned=_planned(lines),
        observed=_observed(rows, valid, lines, coordinates, labels, [f"@{each.name}" for each in added]),
    )


def unmeasured(assignments: Sequence[Assignment], dimensions: Sequence[Dimension]) -> Frame:
    """Returns the frame of a plan of which nothing has run."""
    return frame(pl.DataFrame(schema=dict(ROW_SCHEMA)), {}, assignments, {}, dimensions)


def _lines(
    assignments: Sequence[Assignment],
    statuses: Mapping[TrialKey, TrialStatus],
    dimensions: Sequence[Dimension],
) -> pl.DataFrame:
    """Returns one line for each assignment, with its trial's state and message."""
    own_network = {(each.cell, each.seed): each.trial for each in assignments if each.evaluation == "test"}
    names = {each.trial: f"{each.cell} seed {each.seed}" for each in assignments if each.evaluation == "test"}
    states = [
        _told(each.trial, statuses, own_network.get((each.cell, each.seed)), names) for each in assignments
    ]
    columns: dict[str, pl.Series] = {
        "line": pl.Series(range(len(assignments)), dtype=pl.Int64),
        "evaluation": pl.Series([each.evaluation for each in assignments], dtype=pl.String),
        "cell": pl.Series([each.cell for each in assignments], dtype=pl.String),
        "draw": pl.Series([each.draw for each in assignments], dtype=pl.Int64),
        "seed": pl.Series([each.seed for each in assignments], dtype=pl.Int64),
        "trial": pl.Series([each.trial for each in assignments], dtype=pl.String),
        "state": pl.Series([state for state, _ in states], dtype=pl.String),
        "message": pl.Series([message for _, message in states], dtype=pl.String),
    }
    for dimension in dimensions:
        found = [each.labels.get(dimension.name, ABSENT) for each in assignments]
        columns[f"@{dimension.name}"] = pl.Series(found, dtype=pl.String)
    return pl.DataFrame(columns)


def _told(
    key: TrialKey,
    statuses: Mapping[TrialKey, TrialStatus],
    own_network: TrialKey | None,
    names: Mapping[TrialKey, str],
) -> tuple[str, str]:
    """Returns state and message of a trial, as a table is to show them."""
    status = statuses.get(key, _PENDING)
    blocked_by = status.blocked_by
    blocker = None if blocked_by is None else statuses.get(blocked_by)
    if status.state is State.BLOCKED and blocker is not None and blocked_by is not None:
        if blocker.state is State.DIVERGED and blocked_by == own_network:
            return State.DIVERGED.value, "its network diverged"
        why = ": ".join(filter(None, (blocker.state.value, blocker.cause, blocker.message)))
        return (
            State.BLOCKED.value,
            status.message or f"needs {names.get(blocked_by, blocked_by)}, which {why}",
        )
    if status.state is State.FAILED:
        # "out of memory: ..." tells more than the message alone, "error: ..." does not.
        cause = "" if status.cause == Cause.ERROR and status.message else status.cause
        return State.FAILED.value, ": ".join(filter(None, (cause, status.message)))
    return status.state.value, status.message


def _planned(lines: pl.DataFrame) -> pl.DataFrame:
    """Returns the lines, those of trainings a second time as "train": the curves."""
    curves = lines.filter(pl.col("evaluation") == "test").with_columns(evaluation=pl.lit("train"))
    return pl.concat([lines, curves])


def _coordinates(
    texts: Sequence[str], dimensions: Sequence[Dimension]
) -> tuple[pl.DataFrame, list[Dimension]]:
    """Returns coords text -> a column for each coordinate, and the dimensions that they add.

    The loop is over distinct texts, of which there are as many as places in a network, not as rows.
    """
    parsed: list[dict[str, str]] = [
        {str(name): str(value) for name, value in json.loads(text).items()} if text else {} for text in texts
    ]
    names = sorted({name for each in parsed for name in each})
    columns: dict[str, pl.Series] = {"coords": pl.Series(texts, dtype=pl.String)}
    for name in names:
        columns[f"={name}"] = pl.Series([each.get(name) for each in parsed], dtype=pl.String)
    known = {each.name for each in dimensions}
    added = [
        Dimension(name=name, labels=tuple(sorted({e[name] for e in parsed if name in e}, key=_numeric)))
        for name in names
        if name not in known
    ]
    return pl.DataFrame(columns), added


def _extended(dimensions: Sequence[Dimension], coordinates: pl.DataFrame) -> list[Dimension]:
    """Returns the study's dimensions, with the labels that coordinates of the same name add at the end."""
    extended: list[Dimension] = []
    for each in dimensions:
        labels = list(each.labels)
        if f"={each.name}" in coordinates.columns:
            found = coordinates.get_column(f"={each.name}").drop_nulls().unique().to_list()
            labels += sorted(set(found) - set(labels), key=_numeric)
        extended.append(Dimension(name=each.name, labels=tuple(labels)))
    return extended


def _numeric(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def _observed(
    rows: pl.DataFrame,
    valid: Mapping[TrialKey, str],
    lines: pl.DataFrame,
    coordinates: pl.DataFrame,
    labels: Sequence[str],
    added: Sequence[str],
) -> pl.DataFrame:
    """Returns one line for each value of each assignment."""
    measured = (
        rows.lazy()
        .select(pl.col(name).cast(kind) for name, kind in ROW_SCHEMA.items() if name not in ("seed", "draw"))
        .collect()
    )
    pairs = _pairs(measured, valid, lines)
    places = pairs.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("pair"), pl.int_ranges("first", "after").alias("row")
    ).explode("row")
    if pairs.get_column("first").is_duplicated().any():  # several assignments: row by row, as they came
        places = places.sort("row", maintain_order=True)
    values = _taken(measured.drop("part"), places.get_column("row"))
    if coordinates.width > 1:
        values = values.join(coordinates.lazy(), on="coords", how="left", maintain_order="left")
    planned = pairs.drop("trial", "first", "after").lazy().select(pl.all().gather(places.get_column("pair")))
    shared = [label for label in labels if f"={label[1:]}" in coordinates.columns]
    evaluation = pl.col("evaluation")
    if (pairs.get_column("asked") != "test").any():
        evaluation = pl.when(pl.col("asked") == "test").then(evaluation).otherwise(pl.col("asked"))
    return (
        pl.concat([values, planned], how="horizontal")
        # A training's rows say themselves what they are; a condition's rows bear its family's name, the
        # study calls it by the evaluation's.
        .with_columns(
            evaluation.alias("evaluation"),
            *(pl.coalesce(f"={label[1:]}", label).alias(label) for label in shared),
            *(pl.col(f"={label[1:]}").fill_null(ABSENT).alias(label) for label in added),
        )
        .select(
            *("line", "evaluation", "cell", "draw", "seed", "trial", "outcome", "step", "metric", "value"),
            *labels,
            *added,
        )
        .collect()
    )


def _taken(rows: pl.DataFrame, numbers: pl.Series) -> pl.LazyFrame:
    """Returns rows by their numbers; all of them in their order, which is the rule, cost nothing."""
    if (
        len(numbers) == rows.height
        and (numbers == pl.int_range(rows.height, dtype=pl.UInt32, eager=True)).all()
    ):
        return rows.lazy()
    return rows.lazy().select(pl.all().gather(numbers))


def _pairs(rows: pl.DataFrame, valid: Mapping[TrialKey, str], lines: pl.DataFrame) -> pl.DataFrame:
    """Returns each run of rows beside each line that asks for it: the rows from `first` to before `after`.

    A part holds a trial's rows one after the other: runs are some thousands where rows are a million, and
    only runs are joined. Any order of rows would do, with more runs.
    """
    begins = (pl.col("trial") != pl.col("trial").shift()) | (pl.col("part") != pl.col("part").shift())
    runs = (
        rows.lazy()
        .select("trial", "part", begins=begins.fill_null(True))
        .with_row_index("first")
        .filter("begins")
        .select("trial", "part", "first", after=pl.col("first").shift(-1).fill_null(rows.height))
    )
    counted = pl.LazyFrame(
        {"trial": list(valid.keys()), "part": list(valid.values())},
        schema={"trial": pl.String, "part": pl.String},
    )
    planned = lines.lazy().drop("state", "message").rename({"evaluation": "asked"})
    return (
        runs.join(counted, on=["trial", "part"], how="semi", maintain_order="left")
        .drop("part")
        .join(planned, on="trial", how="inner", maintain_order="left_right")
        .collect()
    )
