"""Runs of the mirror (MLflow): complete pictures of what happened, applied idempotently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorMetric:
    """One point of a curve; the timestamp is derived from the step, so that a replay is identical."""

    name: str
    value: float
    step: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorRun:
    """Everything the mirror shows of one run; applying it twice changes nothing.

    Attributes:
        study: The study: its experiment is "orch/<study>".
        key: Identity of the run within the study (tag orch.key).
        kind: Tag orch.kind: "submission", "training", "gather" or "cell".
        name: What the run list shows.
        parent: Key of the parent run, or "".
        status: "RUNNING", "FINISHED", "FAILED" or "KILLED".
        params: Labels (and seed).
        tags: Further tags.
        metrics: All points.
        texts: Artifact path -> text.
        tables: Artifact path -> columns (name -> values), shown as a table.
        run_id: The mirror's own id, once known.
    """

    study: str
    key: str
    kind: str
    name: str
    parent: str = ""
    status: str = "FINISHED"
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[MirrorMetric] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Sequence[object]]] = field(default_factory=dict)
    start_ms: int = 0
    end_ms: int | None = None
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """Something the mirror has yet to show: a reference, its content is read when it is applied.

    Attributes:
        id: Grows; items are applied in order.
        study: The study.
        kind: As `MirrorRun.kind`, or "study" (the experiment's own note and tags).
        key: As `MirrorRun.key`.
        revision: Grows when the item is asked for again while it waits; an item that was asked for
            again after it was read stays in the outbox.
    """

    id: int
    study: str
    kind: str
    key: str
    revision: int = 0
