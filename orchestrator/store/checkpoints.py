"""Checkpoints: immutable folders with a digests file, complete or not there at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from orchestrator.model.plan import TrialKey
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore
from orchestrator.store import digests, durable
from orchestrator.store.digests import CORRUPT, DIGESTS, FOLDER


@final
@dataclass(frozen=True, slots=True)
class DirectoryCheckpoints:
    """Checkpoints under a store's root; picklable, workers get a copy.

    Attributes:
        root: The store's root; a path that every worker sees.
    """

    root: Path

    def save(
        self, trial: TrialKey, *, serial: int, step: int, write: Callable[[Path], None]
    ) -> CheckpointRef:
        """Writes a checkpoint durably and returns it.

        Args:
            trial: Whose it is.
            serial: Grows with every checkpoint of the trial.
            step: The workload's step.
            write: Writes the files into an existing empty folder.

        Raises:
            ValueError: `write` wrote nothing, a link, or the digests file itself.
            OSError: The disk is full or failing; nothing is left.
        """
        digests.require_key(trial)
        folder = self.root / FOLDER / trial
        durable.make_folder(folder)
        temporary = folder / durable.temporary_name()
        temporary.mkdir()
        try:
            write(temporary)
            found = digests.digested(temporary, trial, serial=serial, step=step, sync=durable.sync)
            (temporary / DIGESTS).write_bytes(found.text)
            durable.sync(temporary / DIGESTS)
            for inner in sorted((p for p in temporary.rglob("*") if p.is_dir()), reverse=True):
                durable.sync(inner)
            durable.sync(temporary)
            target = folder / f"{serial:06d}-{uuid.uuid4().hex[:8]}"
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        durable.sync(folder)
        return found.ref(trial, target.relative_to(self.root).as_posix(), serial=serial, step=step)

    def open(self, checkpoint: CheckpointRef) -> Path:
        """Returns the folder after checking every digest.

        Raises:
            CorruptError: Missing or damaged; the folder has been renamed to "corrupt-...".
        """
        folder = self._folder(checkpoint)
        problem = digests.problem(folder, checkpoint)
        if problem is None:
            return folder
        aside = self._set_aside(folder)
        raise digests.unusable(
            checkpoint, problem, aside.relative_to(self.root).as_posix() if aside else None
        )

    def done(self, folder: Path) -> None:
        """Does nothing: what was opened is the checkpoint itself."""

    def delete(self, checkpoint: CheckpointRef) -> None:
        """Deletes a checkpoint; nothing happens when it is gone."""
        folder = self._folder(checkpoint)
        # Under a temporary name first, so that no half of it bears a valid name.
        doomed = folder.parent / durable.temporary_name()
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed, ignore_errors=True)

    def check(self, checkpoint: CheckpointRef) -> str | None:
        """Returns what is wrong with a checkpoint, or None; changes nothing."""
        return digests.problem(self._folder(checkpoint), checkpoint)

    def sweep(
        self,
        *,
        older_than_s: float,
        listed: Collection[CheckpointRef] | None = None,
        dry: bool = False,
    ) -> Sequence[tuple[str, int]]:
        """Deletes what interrupted writers left behind; returns paths and sizes in bytes.

        Args:
            older_than_s: Grace period; longer than any checkpoint takes to write and to be recorded.
            listed: Every recorded checkpoint: then unrecorded folders go too. None keeps them.
            dry: Delete nothing.
        """
        swept: list[tuple[str, int]] = []
        kept = None if listed is None else {checkpoint.path for checkpoint in listed}
        for folder in sorted(path for path in (self.root / FOLDER).glob("*") if path.is_dir()):
            doomed = list(durable.leftovers(folder, older_than_s=older_than_s))
            if kept is not None:
                doomed += [
                    path
                    for path in sorted(folder.glob("[0-9]*-*"))
                    if path.relative_to(self.root).as_posix() not in kept
                    and durable.is_older(path, older_than_s)
                ]
            for path in doomed:
                swept.append((path.relative_to(self.root).as_posix(), durable.size_of(path)))
                if not dry:
                    shutil.rmtree(path, ignore_errors=True)
        return swept

    def _folder(self, checkpoint: CheckpointRef) -> Path:
        return self.root / digests.require_path(checkpoint)

    def _set_aside(self, folder: Path) -> Path | None:
        aside = folder.parent / f"{CORRUPT}{folder.name}-{uuid.uuid4().hex[:4]}"
        try:
            folder.rename(aside)
        except FileNotFoundError:  # missing, or another worker found it first
            return None
        durable.sync(folder.parent)
        return aside


_: type[CheckpointStore] = DirectoryCheckpoints
