"""What use cases tell people while they work; the console shows it, a test collects it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.driver.progress import Progress
from orchestrator.model.plan import Plan, TrialKey
from orchestrator.model.table import Table


class View(Protocol):
    """Something that shows a submission while it runs."""

    def planned(self, plan: Plan, wanted: frozenset[TrialKey]) -> None:
        """Shows what will run."""
        ...

    def progress(self, progress: Progress) -> None:
        """Shows how far it is."""
        ...

    def tables(self, tables: Sequence[Table]) -> None:
        """Shows the tables as they stand."""
        ...

    def wants_tables(self) -> bool:
        """Returns whether `tables` would be shown now; building them costs time."""
        ...

    def note(self, text: str) -> None:
        """Shows one line."""
        ...


class Silent:
    """Shows nothing."""

    def planned(self, plan: Plan, wanted: frozenset[TrialKey]) -> None:
        """Shows nothing."""

    def progress(self, progress: Progress) -> None:
        """Shows nothing."""

    def tables(self, tables: Sequence[Table]) -> None:
        """Shows nothing."""

    def wants_tables(self) -> bool:
        """Returns False."""
        return False

    def note(self, text: str) -> None:
        """Shows nothing."""


_: type[View] = Silent
