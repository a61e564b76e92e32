"""A built table: entries that know their estimate, their uncertainty and their trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model.plan import TrialKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A printed cell of a table.

    Attributes:
        text: What is printed, without the mark of the best ("7.1 ± 0.2 (1 fail)", "fail", "–").
        estimate: The statistic, in natural units, or None.
        spread: Its standard deviation (or half-width), or None.
        interval: (low, high), or None.
        n: Seeds whose value enters the statistic.
        planned: Seeds that were planned.
        failures: Seeds that diverged or exceed `fail_when`.
        best: Whether it is marked.
        status: "ok", "fail", "partial" (seeds pending), "pending", "error" (a trial failed),
            "blocked" or "missing" (never planned).
        message: Of the failed or blocking trial.
        values: (seed, value) that entered.
        trials: Every trial the entry came from.
    """

    text: str
    estimate: float | None = None
    spread: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    planned: int = 0
    failures: int = 0
    best: bool = False
    status: str = "ok"
    message: str = ""
    values: tuple[tuple[int, float], ...] = ()
    trials: tuple[TrialKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table ready to be rendered.

    Attributes:
        name: The table's name in the study.
        caption: Above it.
        row_names: Names of the row headers, one for each nesting level ("depth", "sharing").
        rows: Labels of each row, one tuple entry for each nesting level.
        column_names: Names of the column headers, outermost first (empty for selections).
        columns: Labels of each column, outermost first.
        entries: entries[row][column].
        notes: Below it ("n = 3 seeds", "std: sample").
    """

    name: str
    caption: str = ""
    row_names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    column_names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    entries: tuple[tuple[Entry, ...], ...]
    notes: Sequence[str] = ()
