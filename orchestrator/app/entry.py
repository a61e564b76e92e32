"""One entry of a table for somebody who looks into it: its seeds, its neighbours, its curves, its config."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.app.diff import flat
from orchestrator.app.session import Session
from orchestrator.errors import CorruptError, NotFoundError
from orchestrator.model.plan import Trial, TrialKey, TrialStatus
from orchestrator.model.study import ABSENT, Study, TableSpec
from orchestrator.model.table import Entry, Table

if TYPE_CHECKING:
    from orchestrator.tables.layout import Span

MOST_NETWORKS: Final = 24  # whose curves are read
MOST_NEIGHBOURS: Final = 16
MOST_METRICS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an entry stands: the numbers of its row and column, and their labels."""

    row: int
    column: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric along one training.

    Attributes:
        points: (step, value), finite ones only, by step.
    """

    trial: TrialKey
    seed: int
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The trainings behind an entry.

    Attributes:
        trials: The first of them; number: how many there are.
        alike: Whether they differ in their seeds alone, so that a mean over them says something.
        curves: Metric -> its curves, the table's own metrics first.
    """

    trials: tuple[Trial, ...]
    number: int
    alike: bool
    curves: Mapping[str, tuple[Curve, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field of the config in which two entries' networks differ; "–" where a side has none."""

    name: str
    own: str
    other: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What stands behind an entry.

    Attributes:
        trials: Each with its status, by seed.
        networks: The trainings that it measures.
        reference: The entry that its config is compared with, None for itself.
        differences: Of its config to the reference's.
    """

    trials: Sequence[tuple[Trial, TrialStatus]]
    networks: Networks
    reference: Place | None
    differences: Sequence[Difference]


def find(table: Table, row: Sequence[str], column: Sequence[str]) -> Place:
    """Returns where the entry of these labels stands.

    Raises:
        NotFoundError: The table has no such row or column any more.
    """
    for kind, headers, wanted in (("row", table.rows, row), ("column", table.columns, column)):
        if tuple(wanted) not in headers:
            raise NotFoundError(
                f"table {table.name!r} has no {kind} {', '.join(wanted)!r}: the study may have changed since"
            )
    return place(table, table.rows.index(tuple(row)), table.columns.index(tuple(column)))


def place(table: Table, row: int, column: int) -> Place:
    """Returns where the entry of a row and a column stands."""
    labels = tuple(label for label in (*table.rows[row], *table.columns[column]) if label)
    return Place(row=row, column=column, labels=labels)


def metric_of(study: Study, table: Table, at: Place) -> str:
    """Returns what an entry is a value of; "" where its table does not say."""
    spec = study.table(table.name)
    metrics = spec.metrics if spec is not None else ()
    return metrics[0] if len(metrics) == 1 else next((each for each in at.labels if each in metrics), "")


def factor(study: Study, table: Table, metric: str) -> float:
    """Returns by what a metric's values are to be multiplied so that they read as the table prints them."""
    from orchestrator.tables.numbers import is_fraction, per_cent

    spec = study.table(table.name)
    if spec is None or not spec.percent:
        return 1.0
    return 100.0 if metric in per_cent(spec, spec.metrics) or is_fraction(metric) else 1.0


def neighbours(study: Study, table: Table, at: Place) -> list[tuple[Place, Entry]]:
    """Returns the entries of a row that have seeds, the given one among them; of a long row those around it.

    Only those of the same metric; where there are none others in the row, those of the column.
    """
    metric = metric_of(study, table, at)
    row = [place(table, at.row, column) for column in range(len(table.columns))]
    alike = [
        each
        for each in row
        if table.entries[at.row][each.column].planned and metric_of(study, table, each) == metric
    ]
    down = len(alike) < 2
    places = [place(table, row, at.column) for row in range(len(table.rows))] if down else row
    found = [(each, table.entries[each.row][each.column]) for each in places]
    found = [
        (each, entry) for each, entry in found if entry.planned and metric_of(study, table, each) == metric
    ]
    own = next((n for n, (each, _) in enumerate(found) if each == at), 0)
    first = max(0, min(own - MOST_NEIGHBOURS // 2, len(found) - MOST_NEIGHBOURS))
    return found[first : first + MOST_NEIGHBOURS]


def reference(study: Study, table: Table, at: Place) -> Place | None:
    """Returns the entry that another is compared with: its table's baseline, else the first of its row.

    None for the reference itself.
    """
    spec = study.table(table.name)
    wanted = dict(spec.baseline) if spec is not None else {}
    for names, headers, own in (
        (table.row_names, table.rows, "row"),
        (table.column_names, table.columns, "column"),
    ):
        for name, label in wanted.items():
            if name not in names:
                continue
            level = list(names).index(name)
            mine = headers[at.row if own == "row" else at.column]
            target = (*mine[:level], label, *mine[level + 1 :])
            if target in headers:
                number = headers.index(target)
                other = place(table, number, at.column) if own == "row" else place(table, at.row, number)
                return None if other == at else other
    for column, entry in enumerate(table.entries[at.row]):
        if entry.planned:
            if column != at.column:
                return place(table, at.row, column)
            break
    for row, line in enumerate(table.entries):
        if line[at.column].planned:
            return place(table, row, at.column) if row != at.row else None
    return None


def inside(session: Session, study: Study, table: Table, at: Place) -> Inside:
    """Returns what stands behind an entry.

    Args:
        session: The store.
        study: As recorded.
        table: As built.
        at: Which entry.
    """
    entry = table.entries[at.row][at.column]
    registry = session.registry
    trials = registry.described(entry.trials)
    statuses = registry.statuses(list(trials))
    networks = _networks(session, trials)
    other = reference(study, table, at)
    differences: list[Difference] = []
    if other is not None:
        others = registry.described(table.entries[other.row][other.column].trials)
        differences = _differences(networks, _trainings(session, others))
    spec = study.table(table.name)
    return Inside(
        trials=sorted(
            ((trial, statuses.get(key, TrialStatus())) for key, trial in trials.items()),
            key=lambda pair: (pair[0].seed, pair[0].draw, pair[0].order),
        ),
        networks=Networks(
            trials=tuple(networks[:MOST_NETWORKS]),
            number=len(networks),
            alike=len({str(dict(trial.config)) for trial in networks}) == 1,
            curves=curves(session, networks[:MOST_NETWORKS], spec),
        ),
        reference=other,
        differences=differences,
    )


def _networks(session: Session, trials: Mapping[TrialKey, Trial]) -> list[Trial]:
    return sorted(_trainings(session, trials), key=lambda trial: (trial.seed, trial.order))


def _trainings(session: Session, trials: Mapping[TrialKey, Trial]) -> list[Trial]:
    """Returns trials that are trainings, and in place of the others the trainings that they measure."""
    parents = session.registry.described(
        {parent for trial in trials.values() if trial.stage != "train" for parent in trial.parents}
    )
    own = [trial for trial in trials.values() if trial.stage == "train"]
    return [*own, *(trial for trial in parents.values() if trial.stage == "train")]


def _differences(own: Sequence[Trial], other: Sequence[Trial]) -> list[Difference]:
    """Returns the fields whose values differ; where networks of one side differ, all values of it."""
    mine, theirs = _values(own), _values(other)
    return [
        Difference(name=name, own=mine.get(name, ABSENT), other=theirs.get(name, ABSENT))
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]


def _values(trials: Sequence[Trial]) -> dict[str, str]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for trial in trials:
        for name, value in flat(trial.config):
            found[name][value] = None
    return {name: " or ".join(values) for name, values in found.items()}


def curves(
    session: Session, networks: Sequence[Trial], spec: TableSpec | None = None
) -> dict[str, tuple[Curve, ...]]:
    """Returns metric -> curves of whole networks, of the metrics that change along the training.

    Args:
        session: The store.
        networks: Trainings.
        spec: A table whose metrics come first.
    """
    registry = session.registry
    keys = [trial.key for trial in networks]
    valid = registry.results(keys)
    points: dict[str, dict[TrialKey, list[tuple[int, float]]]] = {}
    for part in registry.parts(keys):
        held = [key for key in keys if valid.get(key) == part.path]
        try:
            rows = session.stores.results.read([part], held)
        except CorruptError:  # told by `orch fsck`; the rest is shown all the same
            continue
        for row in rows:
            if row.evaluation == "train" and not row.coords and math.isfinite(row.value):
                points.setdefault(row.metric, {}).setdefault(row.trial, []).append((row.step, row.value))
    own = set(spec.metrics) if spec is not None else set()
    several = {
        metric: found
        for metric, found in points.items()
        if any(len({value for _, value in line}) > 1 for line in found.values())
    }
    order = sorted(several, key=lambda metric: (metric not in own, "lr" in metric, metric))
    return {
        metric: tuple(
            Curve(trial=trial.key, seed=trial.seed, points=tuple(sorted(several[metric][trial.key])))
            for trial in networks
            if trial.key in several[metric]
        )
        for metric in order[:MOST_METRICS]
    }


def latex_entry(entry: Entry) -> str:
    """Returns an entry's text as LaTeX."""
    from orchestrator.tables.render_latex import entry_text

    return entry_text(entry)


def header_lines(table: Table) -> list[list[Span]]:
    """Returns the header rows of a table, outermost first; equal neighbours are joined."""
    from orchestrator.tables.layout import header_rows

    return header_rows(table)


def row_heights(table: Table) -> list[dict[int, int]]:
    """Returns for each level of the row headers: row -> how many rows its label spans."""
    from orchestrator.tables.layout import row_spans

    return [row_spans(table, level) for level in range(len(table.row_names))]
