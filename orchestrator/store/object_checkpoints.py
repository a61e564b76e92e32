"""Checkpoints on an object store: the digests file goes last, and without it there is no checkpoint."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

from orchestrator.errors import TargetError
from orchestrator.model.plan import TrialKey
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore
from orchestrator.store import digests, scratch
from orchestrator.store.digests import CORRUPT, DIGESTS, FOLDER
from orchestrator.store.objects import Found, Objects


@final
@dataclass(frozen=True, slots=True)
class ObjectCheckpoints:
    """Checkpoints under a URI; picklable, workers get a copy.

    A worker writes into a folder on its own disk and uploads that; what it opens is downloaded, compared with
    its digests, and taken away again by `done`.

    Attributes:
        objects: The store.
    """

    objects: Objects

    def save(
        self, trial: TrialKey, *, serial: int, step: int, write: Callable[[Path], None]
    ) -> CheckpointRef:
        """Uploads a checkpoint, its digests last, and returns it.

        Args:
            trial: Whose it is.
            serial: Grows with every checkpoint of the trial.
            step: The workload's step.
            write: Writes the files into an existing empty folder.

        Raises:
            ValueError: `write` wrote nothing, a link, or the digests file itself.
            OSError: This machine's disk is full or failing.
            TargetError: The store cannot be reached.
        """
        digests.require_key(trial)
        path = f"{FOLDER}/{trial}/{serial:06d}-{uuid.uuid4().hex[:8]}"
        folder = scratch.new_folder()
        try:
            write(folder)
            found = digests.digested(folder, trial, serial=serial, step=step, sync=lambda file: None)
            try:
                self.objects.put_files({f"{path}/{name}": folder / name for name in found.files})
                self.objects.put(f"{path}/{DIGESTS}", found.text)
            except BaseException:
                with suppress(TargetError):  # `gc` names what cannot be taken away now
                    self._delete(path)
                raise
        finally:
            scratch.discard(folder)
        return found.ref(trial, path, serial=serial, step=step)

    def open(self, checkpoint: CheckpointRef) -> Path:
        """Returns a folder of this machine with the files, after checking every digest; see `done`.

        Raises:
            CorruptError: Missing or damaged; the objects have been copied to "corrupt-..." and deleted.
            TargetError: The store cannot be reached.
        """
        path = digests.require_path(checkpoint).as_posix()
        folder, problem = self._download(path, checkpoint)
        if problem is None:
            return folder
        scratch.discard(folder)
        raise digests.unusable(checkpoint, problem, self._set_aside(path))

    def done(self, folder: Path) -> None:
        """Deletes the folder that `open` returned."""
        scratch.discard(folder)

    def delete(self, checkpoint: CheckpointRef) -> None:
        """Deletes a checkpoint; nothing happens when it is gone."""
        self._delete(digests.require_path(checkpoint).as_posix())

    def check(self, checkpoint: CheckpointRef) -> str | None:
        """Returns what is wrong with a checkpoint, or None; downloads it and changes nothing."""
        folder, problem = self._download(digests.require_path(checkpoint).as_posix(), checkpoint)
        scratch.discard(folder)
        return problem

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
            listed: Every recorded checkpoint: then unrecorded ones go too. None keeps them.
            dry: Delete nothing.
        """
        kept = None if listed is None else {checkpoint.path for checkpoint in listed}
        folders: dict[str, list[Found]] = defaultdict(list)
        for each in self.objects.found(FOLDER):
            parts = each.name.split("/")
            if len(parts) > 3 and not parts[2].startswith(CORRUPT):
                folders["/".join(parts[:3])].append(each)
        swept: list[tuple[str, int]] = []
        for path, found in folders.items():
            complete = any(each.name == f"{path}/{DIGESTS}" for each in found)
            wanted = complete if kept is None else path in kept
            if wanted or not all(each.older_than(older_than_s) for each in found):
                continue
            swept.append((path, sum(each.size for each in found)))
            if not dry:
                self._delete(path)
        return swept

    # --- within -------------------------------------------------------------------------------------------

    def _download(self, path: str, checkpoint: CheckpointRef) -> tuple[Path, str | None]:
        """Returns a folder with what is there, and what is wrong with it."""
        folder = scratch.new_folder()
        try:
            names = [each.name.removeprefix(f"{path}/") for each in self.objects.found(path)]
            if not names:
                return folder, "it is missing"
            if DIGESTS not in names:
                return folder, f"{DIGESTS} is missing"
            for name in names:
                if {"", ".", ".."} & set(name.split("/")):
                    return folder, f"{name} was added to it"
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self.objects.fetch_all({f"{path}/{name}": folder / name for name in names})
            return folder, digests.problem(folder, checkpoint)
        except BaseException:
            scratch.discard(folder)
            raise

    def _delete(self, path: str) -> None:
        # Without its digests it is none any more: no half of it is taken for one.
        self.objects.delete([f"{path}/{DIGESTS}"])
        self.objects.delete_folder(path)

    def _set_aside(self, path: str) -> str | None:
        """Moves what is there to a name of its own; returns that, or None when nothing is there."""
        parent, _, name = path.rpartition("/")
        aside = f"{parent}/{CORRUPT}{name}-{uuid.uuid4().hex[:4]}"
        found = [each.name for each in self.objects.found(path)]
        if not found:
            return None
        self.objects.copy({each: aside + each.removeprefix(path) for each in found})
        self._delete(path)
        return aside


_: type[CheckpointStore] = ObjectCheckpoints
