"""Checkpoints: immutable folders with a digests file, complete or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, final

from orchestrator.errors import CorruptError
from orchestrator.model.plan import TrialKey
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore
from orchestrator.store import durable

FOLDER = "checkpoints"
DIGESTS = "digests.json"
CORRUPT = "corrupt-"
_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_BLOCK_BYTES = 4 * 2**20


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
        if not _NAME.fullmatch(trial):
            raise ValueError(f"{trial!r} is no trial key: allowed are letters, digits, '-' and '_'")
        folder = self.root / FOLDER / trial
        durable.make_folder(folder)
        temporary = folder / durable.temporary_name()
        temporary.mkdir()
        try:
            write(temporary)
            files = _digest_durably(temporary)
            text = _dump({"format": _FORMAT, "trial": trial, "serial": serial, "step": step, "files": files})
            (temporary / DIGESTS).write_bytes(text)
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
        return CheckpointRef(
            trial=trial,
            path=target.relative_to(self.root).as_posix(),
            digest=hashlib.sha256(text).hexdigest(),
            serial=serial,
            step=step,
            size_bytes=sum(int(each["size"]) for each in files.values()),
        )

    def open(self, checkpoint: CheckpointRef) -> Path:
        """Returns the folder after checking every digest.

        Raises:
            CorruptError: Missing or damaged; the folder has been renamed to "corrupt-...".
        """
        folder = self._folder(checkpoint)
        problem = _problem(folder, checkpoint)
        if problem is None:
            return folder
        aside = self._set_aside(folder)
        where = f"; it was set aside as {aside.relative_to(self.root).as_posix()}" if aside else ""
        raise CorruptError(
            f"the checkpoint {checkpoint.path} (step {checkpoint.step}) cannot be used: {problem}{where}. "
            "The one before it is used instead, or the training starts again"
        )

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
        return _problem(self._folder(checkpoint), checkpoint)

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
        parts = PurePosixPath(checkpoint.path).parts
        if len(parts) != 3 or parts[0] != FOLDER or ".." in parts or parts[1] != checkpoint.trial:
            raise CorruptError(
                f"{checkpoint.path!r} is no path of a checkpoint of {checkpoint.trial}; expected "
                f"{FOLDER}/{checkpoint.trial}/<serial>-<id>"
            )
        return self.root.joinpath(*parts)

    def _set_aside(self, folder: Path) -> Path | None:
        aside = folder.parent / f"{CORRUPT}{folder.name}-{uuid.uuid4().hex[:4]}"
        try:
            folder.rename(aside)
        except FileNotFoundError:  # missing, or another worker found it first
            return None
        durable.sync(folder.parent)
        return aside


def _digest_durably(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns relative path -> sha256 and size of every file, all of them on the disk."""
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"a checkpoint holds plain files only; {path.name} is a link or a device")
    if not paths:
        raise ValueError("the workload saved a checkpoint without any file; `Report.save` must write one")
    names = [path.relative_to(folder).as_posix() for path in paths]
    if DIGESTS in names:
        raise ValueError(f"{DIGESTS} is the name of our own file; the workload must choose another")
    # The disk writes while the processor hashes: together they take little longer than the slower of them.
    with ThreadPoolExecutor(max_workers=1) as disk:
        synced = [disk.submit(durable.sync, path) for path in paths]
        digests = [_sha256(path) for path in paths]
        for each in synced:
            each.result()
    return {
        name: {"sha256": digest, "size": path.stat().st_size}
        for name, digest, path in zip(names, digests, paths, strict=True)
    }


def _problem(folder: Path, checkpoint: CheckpointRef) -> str | None:
    """Returns what is wrong with a checkpoint's folder, or None."""
    try:
        text = (folder / DIGESTS).read_bytes()
        if hashlib.sha256(text).hexdigest() != checkpoint.digest:
            return f"{DIGESTS} does not have the recorded digest"
        files = json.loads(text)["files"]
        for name, expected in files.items():
            if (folder / name).stat().st_size != expected["size"]:
                return f"{name} has {(folder / name).stat().st_size} bytes instead of {expected['size']}"
            if _sha256(folder / name) != expected["sha256"]:
                return f"{name} does not have the recorded digest"
        present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
        if extra := sorted(present - set(files) - {DIGESTS}):
            return f"{extra[0]} was added to it"
    except FileNotFoundError as error:
        return (
            f"{os.path.relpath(str(error.filename), folder)} is missing"
            if folder.exists()
            else "it is missing"
        )
    return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _dump(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode("ascii")


_: type[CheckpointStore] = DirectoryCheckpoints
