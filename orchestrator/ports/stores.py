"""What the driver and the workers ask of a store: parts of results, checkpoints, logs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from orchestrator.model.plan import TrialKey
from orchestrator.model.result import PartRef, ResultRow
from orchestrator.model.run import CheckpointRef


class ResultStore(Protocol):
    """Immutable Parquet parts."""

    def write(self, rows: Sequence[ResultRow]) -> PartRef:
        """Writes one part durably: whole or not at all."""
        ...

    def read(self, parts: Sequence[PartRef], keys: Collection[TrialKey] | None = None) -> Sequence[ResultRow]:
        """Returns the rows of the trials (or all), after checking each part's digest.

        Raises:
            CorruptError: A part is missing or its bytes changed.
        """
        ...

    def compact(self, parts: Sequence[PartRef], *, valid: Mapping[TrialKey, str] | None = None) -> PartRef:
        """Writes one part that holds the rows of all these; the old files stay.

        Args:
            parts: What is to be joined.
            valid: Trial -> path of the part with its valid rows (`Registry.results`); other rows are
                left out, since in one file they could not be told apart any more.
        """
        ...

    def sweep(
        self, listed: Sequence[PartRef], *, older_than_s: float, dry: bool = False
    ) -> Sequence[tuple[str, int]]:
        """Deletes unlisted parts and temporary files older than a grace period; `dry` only names them.

        Returns:
            Their paths and sizes in bytes.
        """
        ...


class CheckpointStore(Protocol):
    """Complete checkpoints or none; picklable, since workers write and the driver deletes."""

    def save(
        self, trial: TrialKey, *, serial: int, step: int, write: Callable[[Path], None]
    ) -> CheckpointRef:
        """Writes a checkpoint durably and whole (a rename, or the digests file last, completes it)."""
        ...

    def open(self, checkpoint: CheckpointRef) -> Path:
        """Returns a directory with its files after checking every digest; `done` says when it was read.

        Raises:
            CorruptError: Missing or damaged; it has been set aside.
        """
        ...

    def done(self, folder: Path) -> None:
        """Takes back a directory that `open` returned: nobody reads it any more."""
        ...

    def check(self, checkpoint: CheckpointRef) -> str | None:
        """Returns what is wrong with a checkpoint, or None; changes nothing."""
        ...

    def delete(self, checkpoint: CheckpointRef) -> None:
        """Deletes a checkpoint; nothing happens when it is gone."""
        ...

    def sweep(
        self,
        *,
        older_than_s: float,
        listed: Collection[CheckpointRef] | None = None,
        dry: bool = False,
    ) -> Sequence[tuple[str, int]]:
        """Deletes what interrupted writers left behind; `dry` only names it.

        Args:
            older_than_s: Grace period; longer than any checkpoint takes to write and to be recorded.
            listed: Every recorded checkpoint: then unrecorded ones go too. None keeps them.
            dry: Delete nothing.

        Returns:
            Paths and sizes in bytes.
        """
        ...


class LogStore(Protocol):
    """Logs of trials; picklable, since workers write them."""

    def open(self, name: str) -> Path:
        """Returns a local file to append to, in a folder that exists; it begins with what was kept before.

        A file beside it, with a longer name, is kept too.
        """
        ...

    def close(self, name: str) -> None:
        """Keeps what was written; the local file is not used any more."""
        ...

    def place(self, name: str) -> str:
        """Returns where people find a log, whether or not it is there yet."""
        ...

    def read(self, name: str) -> str | None:
        """Returns what was kept, or None.

        Raises:
            TargetError: The store cannot be reached.
        """
        ...
