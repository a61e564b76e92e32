"""The digests file of a checkpoint: what is in it, and whether a folder still holds just that."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.errors import CorruptError
from orchestrator.model.plan import TrialKey
from orchestrator.model.run import CheckpointRef

FOLDER = "checkpoints"
DIGESTS = "digests.json"
CORRUPT = "corrupt-"
_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Digested:
    """A folder's files with their digests.

    Attributes:
        text: Content of the digests file.
        files: Paths within the folder, with slashes.
        size_bytes: Of all files.
    """

    text: bytes
    files: Sequence[str]
    size_bytes: int

    def ref(self, trial: TrialKey, path: str, *, serial: int, step: int) -> CheckpointRef:
        """Returns what the registry records of the checkpoint at a path."""
        return CheckpointRef(
            trial=trial,
            path=path,
            digest=hashlib.sha256(self.text).hexdigest(),
            serial=serial,
            step=step,
            size_bytes=self.size_bytes,
        )


def digested(
    folder: Path, trial: TrialKey, *, serial: int, step: int, sync: Callable[[Path], None]
) -> Digested:
    """Returns the digests of what a workload saved.

    Args:
        folder: Its files; the digests file is not among them.
        trial: Whose it is.
        serial: Of the checkpoint.
        step: The workload's step.
        sync: Called with each file, beside the hashing.

    Raises:
        ValueError: No file, a link, or a file with the name of the digests file.
    """
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"a checkpoint holds plain files only; {path.name} is a link or a device")
    if not paths:
        raise ValueError("the workload saved a checkpoint without any file; `Report.save` must write one")
    names = [path.relative_to(folder).as_posix() for path in paths]
    if DIGESTS in names:
        raise ValueError(f"{DIGESTS} is the name of our own file; the workload must choose another")
    sizes = [path.stat().st_size for path in paths]
    files = {
        name: {"sha256": digest, "size": size}
        for name, digest, size in zip(names, _synced(paths, sum(sizes), sync), sizes, strict=True)
    }
    content = {"format": _FORMAT, "trial": trial, "serial": serial, "step": step, "files": files}
    return Digested(text=_dump(content), files=names, size_bytes=sum(sizes))


def _synced(paths: Sequence[Path], size_bytes: int, sync: Callable[[Path], None]) -> list[str]:
    """Syncs files and returns their digests."""
    if size_bytes < _BLOCK_BYTES:  # a thread costs more than it gains
        for path in paths:
            sync(path)
        return [_sha256(path) for path in paths]
    # The disk writes while the processor hashes: together they take little longer than the slower of them.
    with ThreadPoolExecutor(max_workers=1) as disk:
        synced = [disk.submit(sync, path) for path in paths]
        digests = [_sha256(path) for path in paths]
        for each in synced:
            each.result()
    return digests


def problem(folder: Path, checkpoint: CheckpointRef) -> str | None:
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


def require_key(trial: TrialKey) -> None:
    """Checks that a trial's key may be the name of a folder.

    Raises:
        ValueError: It may not.
    """
    if not _NAME.fullmatch(trial):
        raise ValueError(f"{trial!r} is no trial key: allowed are letters, digits, '-' and '_'")


def require_path(checkpoint: CheckpointRef) -> PurePosixPath:
    """Returns where a checkpoint is within the store.

    Raises:
        CorruptError: That is no place of a checkpoint of its trial.
    """
    path = PurePosixPath(checkpoint.path)
    if len(path.parts) != 3 or path.parts[:2] != (FOLDER, checkpoint.trial) or ".." in path.parts:
        raise CorruptError(
            f"{checkpoint.path!r} is no path of a checkpoint of {checkpoint.trial}; expected "
            f"{FOLDER}/{checkpoint.trial}/<serial>-<id>"
        )
    return path


def unusable(checkpoint: CheckpointRef, problem: str, aside: str | None) -> CorruptError:
    """Returns the error of a damaged checkpoint.

    Args:
        checkpoint: As recorded.
        problem: What is wrong with it.
        aside: Where in the store it is now, if it was still there.
    """
    where = f"; it was set aside as {aside}" if aside else ""
    return CorruptError(
        f"the checkpoint {checkpoint.path} (step {checkpoint.step}) cannot be used: {problem}{where}. "
        "The one before it is used instead, or the training starts again"
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _dump(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode("ascii")
