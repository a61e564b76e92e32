"""Where a printed number came from: an entry's trials, their attempts, code, data, machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.app.planning import workload_of
from orchestrator.app.results import build_tables
from orchestrator.app.session import Session
from orchestrator.errors import NotFoundError, OrchError, UsageError
from orchestrator.model.plan import Trial, TrialKey, TrialStatus
from orchestrator.model.run import Attempt, CheckpointRef, made_by
from orchestrator.model.study import Study
from orchestrator.model.table import Entry, Table
from workloads.api import Spec, from_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A trial that an entry came from.

    Attributes:
        value: Of its seed, as it entered the statistic; None where that seed has none.
        attempts: Every try, oldest first; the last one made the result.
        checkpoint: The newest, or None.
        data: Digest of the data that its training read; "" where nothing says.
        parents: Likewise of the trainings that it measured.
    """

    trial: Trial
    status: TrialStatus
    value: float | None
    attempts: Sequence[Attempt]
    checkpoint: CheckpointRef | None
    data: str = ""
    parents: Sequence[Source] = ()

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What is known of the attempt that made the result."""
        return made_by(self.attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """An entry of a table and its sources, by seed.

    Attributes:
        labels: Of its row and column.
    """

    table: Table
    labels: tuple[str, ...]
    entry: Entry
    sources: Sequence[Source] = field(default_factory=tuple)


def trace(
    session: Session, study: Study, table: str, rows: Sequence[str], columns: Sequence[str]
) -> list[Traced]:
    """Returns the entries of a table whose row and column bear these labels, with their sources.

    Args:
        session: The store.
        study: As recorded.
        table: The table's name.
        rows: Labels that the row must bear, at any of its levels; all rows without any.
        columns: Likewise of the column.

    Raises:
        NotFoundError: No such table, row or column.
    """
    (built,) = build_tables(session, study, [table])
    picked_rows = _fitting("row", built.rows, rows)
    picked_columns = _fitting("column", built.columns, columns)
    trials = session.registry.trials(study.name)
    try:
        spec: Spec | None = workload_of(study, session.settings)
    except OrchError:  # a store from elsewhere: everything else is known all the same
        spec = None
    found: list[Traced] = []
    for row in picked_rows:
        for column in picked_columns:
            entry = built.entries[row][column]
            if not entry.trials:
                continue
            labels = tuple(label for label in (*built.rows[row], *built.columns[column]) if label)
            values = dict(entry.values)
            sources = [_source(session, spec, trials, key, values) for key in entry.trials]
            sources.sort(key=lambda each: (each.trial.seed, each.trial.draw, each.trial.order))
            found.append(Traced(table=built, labels=labels, entry=entry, sources=sources))
    if not found:
        raise NotFoundError(f"no entry of {table!r} there has trials: attributes describe networks")
    return found


def _source(
    session: Session,
    spec: Spec | None,
    trials: Mapping[TrialKey, Trial],
    key: TrialKey,
    values: Mapping[int, float],
) -> Source:
    registry, trial = session.registry, trials[key]
    return Source(
        trial=trial,
        status=registry.statuses([key])[key],
        value=values.get(trial.seed),
        attempts=registry.attempts(key),
        checkpoint=registry.checkpoint(key),
        data=_data(spec, trial),
        parents=[_source(session, spec, trials, parent, {}) for parent in trial.parents],
    )


def _data(spec: Spec | None, trial: Trial) -> str:
    if spec is None or trial.stage != "train":
        return ""
    return spec.data_digest(from_plain(spec.config, trial.config))


def _fitting(kind: str, headers: Sequence[tuple[str, ...]], wanted: Sequence[str]) -> list[int]:
    found = [index for index, labels in enumerate(headers) if set(wanted) <= set(labels)]
    if not found:
        known = list(dict.fromkeys(label for labels in headers for label in labels if label))
        asked = " ".join(f"--{kind} {label!r}" for label in wanted)
        raise NotFoundError(f"no {kind} bears {asked}; there are {', '.join(map(repr, known[:40]))}")
    return found


def one_entry(found: Sequence[Traced]) -> Traced:
    """Returns the only entry.

    Raises:
        UsageError: There are several.
    """
    if len(found) > 1:
        told = "; ".join(", ".join(each.labels) for each in found[:8])
        raise UsageError(f"{len(found)} entries fit ({told}): name more with --row and --column")
    return found[0]
