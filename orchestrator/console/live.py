"""A submission while it runs: a live display in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from orchestrator.console.tables import plan_line, table_view
from orchestrator.console.text import duration, printable, safe
from orchestrator.driver.progress import Progress
from orchestrator.model.plan import Plan, State, TrialKey
from orchestrator.model.table import Table

LINE_EVERY_S = 10.0
TABLES_EVERY_S = 3.0
RUNNING_SHOWN = 8


class LiveView:
    """Shows a submission: bar, what runs, when it ends, and the first table filling."""

    def __init__(
        self, console: Console, *, quiet: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Writes to `console`; `quiet` leaves out everything but notes."""
        self._console = console
        self._quiet = quiet
        self._monotonic = monotonic
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._tables: Sequence[Table] = ()
        self._lined = float("-inf")
        self._tabled = float("-inf")

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def planned(self, plan: Plan, wanted: frozenset[TrialKey]) -> None:
        """Shows what will run."""
        if self._quiet:
            return
        self._console.print(safe(plan_line(plan, wanted)))
        for note in plan.notes:
            self._console.print(Text(f"note: {printable(note)}", style="dim"), soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        """Shows how far it is."""
        self._progress = progress
        if self._quiet:
            return
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=4, transient=True)
                self._live.start()
            self._live.update(self._display())
            return
        now = self._monotonic()
        if now - self._lined >= LINE_EVERY_S:
            self._lined = now
            self._console.print(safe(progress_line(progress)), soft_wrap=True)

    def wants_tables(self) -> bool:
        """Returns whether the live display is due for a fresh table."""
        return self._live is not None and self._monotonic() - self._tabled >= TABLES_EVERY_S

    def tables(self, tables: Sequence[Table]) -> None:
        """Keeps the tables for the live display."""
        self._tables = tables
        self._tabled = self._monotonic()

    def note(self, text: str) -> None:
        """Shows one line."""
        self._console.print(safe(text), soft_wrap=True)

    def _end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _display(self) -> RenderableType:
        assert self._progress is not None
        progress = self._progress
        head = Grid.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total=max(1, progress.total), completed=progress.done, width=30),
            Text(summary_line(progress)),
        )
        running = [
            Text(
                f"  {printable(each.label)}" + (f"  {each.progress:.0%}" if each.progress is not None else "")
            )
            for each in progress.running[:RUNNING_SHOWN]
        ]
        shown = [table_view(self._tables[0])] if self._tables else []
        return Group(head, *running, *shown)


def summary_line(progress: Progress) -> str:
    """Returns "cells 3/31, trials 40/222 (12 cached), 2 running, 0:42, ETA 1:20"."""
    counts = progress.counts
    troubled = [
        f"{counts[state]} {state.value}"
        for state in (State.DIVERGED, State.FAILED, State.BLOCKED, State.CANCELLED)
        if counts.get(state)
    ]
    parts = [
        f"cells {progress.cells_done}/{progress.cells}",
        f"trials {progress.done}/{progress.total} ({progress.cached} cached)",
        *troubled,
        f"{len(progress.running)} running",
        duration(progress.elapsed_s),
        f"ETA {duration(progress.eta_s)}",
    ]
    return ", ".join(parts)


def progress_line(progress: Progress) -> str:
    """Returns the summary and what runs, on one line."""
    running = "; ".join(
        each.label + (f" {each.progress:.0%}" if each.progress is not None else "")
        for each in progress.running[:RUNNING_SHOWN]
    )
    return summary_line(progress) + (f" | {running}" if running else "")
