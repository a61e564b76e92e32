"""The files of Parquet parts: in a folder, or on an object store with copies on this machine."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Protocol, final

from orchestrator.model.result import PartRef
from orchestrator.store import durable, scratch
from orchestrator.store.objects import Found, Objects

FOLDER = "results"
COPIES_BYTES = 2 * 2**30  # of one store's parts on this machine
IN_USE_S = 600.0  # a copy that was asked for less long ago may be being read


class PartFiles(Protocol):
    """Where the bytes of parts are."""

    def put(self, path: str, data: bytes) -> None:
        """Writes a part durably: whole or not at all."""
        ...

    def local(self, parts: Sequence[PartRef]) -> Mapping[str, Path]:
        """Returns path of a part -> file of this machine with its bytes; missing ones may be left out."""
        ...

    def found(self, *, older_than_s: float) -> Sequence[tuple[str, int]]:
        """Returns paths and bytes of parts and of what interrupted writers left, older than that."""
        ...

    def delete(self, paths: Collection[str]) -> None:
        """Deletes what `found` names; nothing happens to what is gone."""
        ...


@final
class PartFolder:
    """Parts in a directory."""

    def __init__(self, root: Path) -> None:
        """Takes the store's root."""
        self._root = root

    def put(self, path: str, data: bytes) -> None:
        """Writes under a temporary name, syncs, and renames.

        Raises:
            OSError: The disk is full or failing; nothing is left.
        """
        target = self._root / path
        durable.make_folder(target.parent)
        durable.write_file(target, data)

    def local(self, parts: Sequence[PartRef]) -> Mapping[str, Path]:
        """Returns the parts' own files."""
        return {part.path: self._root / part.path for part in parts}

    def found(self, *, older_than_s: float) -> Sequence[tuple[str, int]]:
        """Returns old parts and temporary files."""
        folder = self._root / FOLDER
        paths = [
            *durable.leftovers(folder, older_than_s=older_than_s),
            *(path for path in sorted(folder.glob("*.parquet")) if durable.is_older(path, older_than_s)),
        ]
        return [(path.relative_to(self._root).as_posix(), durable.size_of(path)) for path in paths]

    def delete(self, paths: Collection[str]) -> None:
        """Deletes files."""
        for path in paths:
            (self._root / path).unlink(missing_ok=True)


@final
class PartObjects:
    """Parts on an object store. What is read is copied to this machine once: parts never change."""

    def __init__(self, objects: Objects, copies: Path | None) -> None:
        """Takes the store.

        Args:
            objects: The store.
            copies: Folder for copies, used again by later processes and bounded; None reads every object
                anew and keeps no copy beyond the next call.
        """
        self._objects = objects
        self._copies = copies
        self._compared: set[tuple[str, str]] = set()
        self._last: Path | None = None

    def put(self, path: str, data: bytes) -> None:
        """Writes an object.

        Raises:
            TargetError: The store cannot be reached.
        """
        self._objects.put(path, data)

    def local(self, parts: Sequence[PartRef]) -> Mapping[str, Path]:
        """Returns copies of what is there now; a copy counts while its object is the one it was made of.

        Raises:
            TargetError: The store cannot be reached.
        """
        there = {each.name: each for each in self._objects.found(FOLDER)}
        wanted = [part for part in parts if part.path in there]
        if self._copies is None:
            if self._last is not None:
                scratch.discard(self._last)
            folder = self._last = scratch.new_folder()
        else:
            folder = self._copies
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = {part.path: folder / PurePosixPath(part.path).name for part in wanted}
        lacking = [part for part in wanted if not self._is_copy(files[part.path], part, there[part.path])]
        fetched = {part.path: folder / durable.temporary_name() for part in lacking}
        self._objects.fetch_all(fetched)
        for path, temporary in fetched.items():
            with suppress(FileNotFoundError):  # deleted meanwhile
                _date(temporary, there[path])
                temporary.replace(files[path])
        if lacking and self._copies is not None:
            _bound(folder, kept=set(files.values()))
        return {path: file for path, file in files.items() if file.exists()}

    def found(self, *, older_than_s: float) -> Sequence[tuple[str, int]]:
        """Returns old parts."""
        return [
            (each.name, each.size)
            for each in self._objects.found(FOLDER)
            if each.name.endswith(".parquet") and each.older_than(older_than_s)
        ]

    def delete(self, paths: Collection[str]) -> None:
        """Deletes objects."""
        self._objects.delete(paths)

    def _is_copy(self, file: Path, part: PartRef, there: Found) -> bool:
        try:
            stat = file.stat()
        except FileNotFoundError:
            return False
        if (stat.st_size, stat.st_mtime_ns) != (there.size, there.changed_ns):
            return False
        if (part.path, part.sha256) not in self._compared:
            # A copy that this disk has damaged must not pass for a damaged part.
            if hashlib.sha256(file.read_bytes()).hexdigest() != part.sha256:
                return False
            self._compared.add((part.path, part.sha256))
        _date(file, there)
        return True


def _date(file: Path, there: Found) -> None:
    """Gives a copy its object's time of change, and now as the time of its last use."""
    os.utime(file, ns=(time.time_ns(), there.changed_ns))


def _bound(folder: Path, *, kept: Collection[Path]) -> None:
    """Deletes the copies that were not used for longest, until the others are small enough."""
    copies: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process bounds too
            stat = path.stat()
            copies.append((stat.st_atime, stat.st_size, path))
    total = sum(size for _, size, _ in copies)
    for used, size, path in sorted(copies):
        # Another process reads what it has just asked for.
        if total <= COPIES_BYTES or time.time() - used < IN_USE_S:
            return
        if path not in kept:
            path.unlink(missing_ok=True)
            total -= size
