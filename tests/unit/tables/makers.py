"""Studies made by hand: assignments, statuses and result rows, and the frame they come to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from orchestrator.model.frame import Frame
from orchestrator.model.plan import Assignment, Dimension, State, TrialKey, TrialStatus
from orchestrator.model.result import ResultRow
from orchestrator.model.study import Axis, TableSpec
from orchestrator.model.table import Entry, Table
from orchestrator.store.frame import ROW_SCHEMA, frame
from orchestrator.tables.build import build

NETWORKS = ("plain", "resnet")
PATHS = ("LLL", "RLL", "LRL", "LLR", "RRL", "RLR", "LRR", "RRR")


def scan(rows: Sequence[ResultRow], part: str = "p.parquet") -> pl.DataFrame:
    """What a scan of one part gives."""
    data = {
        "trial": [row.trial for row in rows],
        "evaluation": [row.evaluation for row in rows],
        "coords": [json.dumps(dict(row.coords), sort_keys=True) for row in rows],
        "seed": [row.seed for row in rows],
        "draw": [row.draw for row in rows],
        "step": [row.step for row in rows],
        "metric": [row.metric for row in rows],
        "value": [float(row.value) for row in rows],
        "outcome": [row.outcome for row in rows],
        "part": [part] * len(rows),
    }
    return pl.DataFrame(data, schema=dict(ROW_SCHEMA))


@dataclass
class Made:
    """A study under construction."""

    dimensions: Sequence[Dimension]
    assignments: list[Assignment] = field(default_factory=list)
    statuses: dict[TrialKey, TrialStatus] = field(default_factory=dict)
    rows: list[ResultRow] = field(default_factory=list)

    def plan(
        self,
        labels: Mapping[str, str],
        *,
        seed: int = 0,
        draw: int = 0,
        evaluation: str = "test",
        cell: str | None = None,
        key: str = "",
        status: TrialStatus | None = None,
    ) -> TrialKey:
        """Plans one observation; returns its trial."""
        name = cell if cell is not None else ",".join(f"{k}={v}" for k, v in labels.items())
        trial = TrialKey(key or f"{evaluation}|{name}|{draw}|{seed}|{len(self.assignments)}")
        self.assignments.append(
            Assignment(
                study="made",
                cell=name,
                evaluation=evaluation,
                labels=labels,
                draw=draw,
                seed=seed,
                trial=trial,
            )
        )
        if status is not None:
            self.statuses[trial] = status
        return trial

    def value(
        self,
        trial: TrialKey,
        value: float,
        *,
        metric: str = "test_error",
        evaluation: str = "test",
        step: int = 0,
        coords: Mapping[str, int | str] | None = None,
        state: State = State.SUCCEEDED,
        draw: int = 0,
        seed: int = 0,
    ) -> None:
        """Records one measured value and that the trial has a result."""
        self.rows.append(
            ResultRow(
                trial=trial,
                evaluation=evaluation,
                coords=coords or {},
                seed=seed,
                draw=draw,
                step=step,
                metric=metric,
                value=value,
                outcome=state.value,
            )
        )
        self.statuses[trial] = TrialStatus(state=state)

    def state(self, trial: TrialKey, state: State, **told: object) -> None:
        self.statuses[trial] = TrialStatus(state=state, **told)  # type: ignore[arg-type]

    def frame(self) -> Frame:
        valid = dict.fromkeys((row.trial for row in self.rows), "p.parquet")
        return frame(scan(self.rows), valid, self.assignments, self.statuses, self.dimensions)


def grid(factors: Mapping[str, Sequence[str]], errors: Mapping[tuple[str, ...], Sequence[float]]) -> Made:
    """A factorial study, finished: label combination -> one test error a seed."""
    made = Made([Dimension(name=name, labels=tuple(labels)) for name, labels in factors.items()])
    for combination in itertools.product(*factors.values()):
        for seed, error in enumerate(errors.get(combination, ())):
            labels = dict(zip(factors, combination, strict=True))
            made.value(made.plan(labels, seed=seed), error, seed=seed)
    return made


def waiting_for(made: Made, labels: Mapping[str, str], *, seed: int, state: State) -> None:
    """Plans one more seed that has no result."""
    made.state(made.plan(labels, seed=seed), state)


def zhao(seeds: Sequence[int] = (0, 1)) -> Made:
    """The study of Zhao et al.'s Tables 2 and 3 and Figure 5, with invented errors.

    The error of a path net grows with the number of its R, by depth; the shared one of LLL at two
    depths is one trial. The apart RRR of depth 110 is beyond 50 %.
    """
    made = Made(
        [
            Dimension(name="depth", labels=("26", "110")),
            Dimension(name="sharing", labels=("W/O", "W/")),
            Dimension(name="component", labels=(*PATHS, "Overall")),
            Dimension(name="ensemble", labels=("Ensemble-8", "Ensemble-7")),
            Dimension(name="removed", labels=(*PATHS, "nothing")),
        ]
    )

    def labels(
        depth: str, sharing: str, component: str, ensemble: str, removed: str = "nothing"
    ) -> dict[str, str]:
        return {
            "depth": depth,
            "sharing": sharing,
            "component": component,
            "ensemble": ensemble,
            "removed": removed,
        }

    def record(error: float, seed: int, **planned: object) -> None:
        trial = made.plan(seed=seed, **planned)  # type: ignore[arg-type]
        made.value(trial, error, seed=seed)

    for depth, base in (("26", 0.06), ("110", 0.08)):
        for seed in seeds:
            shift = seed / 1000
            for index, path in enumerate(PATHS):
                error = base + 0.01 * (8 - index) + shift
                if path == "LLL":
                    error = 0.1883 + shift
                if (path, depth) == ("RRR", "110"):
                    error = 0.9 + shift
                key = f"lll|{seed}" if path == "LLL" else ""
                record(error, seed, labels=labels(depth, "W/O", path, "Ensemble-8"), key=key)
                cell = f"depth={depth},sharing=W/,ensemble=Ensemble-8"
                common = {"cell": cell, "key": ""}
                record(
                    base + 0.012 * (8 - index) + shift,
                    seed,
                    labels=labels(depth, "W/", path, "Ensemble-8"),
                    evaluation="members",
                    **common,
                )
                record(
                    base + 0.001 * (4 - abs(index - 4)) + shift,
                    seed,
                    labels=labels(depth, "W/", "Overall", "Ensemble-8", path),
                    evaluation="without",
                    **common,
                )
            record(
                base - 0.005 + shift,
                seed,
                labels=labels(depth, "W/O", "Overall", "Ensemble-8"),
                evaluation="vote",
            )
            record(base + 0.002 + shift, seed, labels=labels(depth, "W/", "Overall", "Ensemble-8"), cell=cell)
            record(base + 0.0005 + shift, seed, labels=labels(depth, "W/", "Overall", "Ensemble-7"))
    return made


def spec(**given: object) -> TableSpec:
    defaults = {"name": "t", "metrics": ("test_error",), "rows": Axis(dimensions=("network",))}
    return TableSpec(**{**defaults, **given})  # type: ignore[arg-type]


def one(made: Made, **given: object) -> Entry:
    table = build(spec(rows=Axis(), **given), made.frame())
    assert (table.rows, len(table.columns)) == (((),), 1)
    return table.entries[0][0]


def texts(table: Table) -> list[list[str]]:
    return [[entry.text for entry in line] for line in table.entries]
