"""Checkpoints that newer recorded ones of the same trial have superseded: they are deleted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.model.plan import TrialKey
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore

KEPT: Final = 2


@dataclass(slots=True)
class Superseded:
    """The newest checkpoints of the trials that run, and where they are.

    Attributes:
        store: Where they are.
    """

    store: CheckpointStore

    _kept: dict[TrialKey, list[CheckpointRef]] = field(default_factory=dict)

    def saved(self, checkpoints: Iterable[CheckpointRef]) -> None:
        """Notes recorded checkpoints, and deletes all but the newest of each trial."""
        for checkpoint in checkpoints:
            kept = self._kept.setdefault(checkpoint.trial, [])
            kept.append(checkpoint)
            while len(kept) > KEPT:
                self.store.delete(kept.pop(0))

    def over(self, trials: Iterable[TrialKey]) -> None:
        """Forgets trials that have ended."""
        for key in trials:
            self._kept.pop(key, None)
