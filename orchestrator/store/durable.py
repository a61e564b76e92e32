"""Writing so that a crash at any moment leaves the old state or the new one."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp-"  # readers of folders of Parquet files pass over names that begin with a dot


def temporary_name() -> str:
    """Returns a name that `leftovers` recognises."""
    return f"{TEMPORARY}{uuid.uuid4().hex}"


def sync(path: Path) -> None:
    """Returns when the contents of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Makes a folder and its parents durably."""
    missing = [path, *path.parents]
    missing = missing[: next((n for n, each in enumerate(missing) if each.is_dir()), len(missing))]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync(each.parent)


def write_file(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name, then renames it; nothing is left when the disk is full."""
    temporary = path.parent / temporary_name()
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def leftovers(folder: Path, *, older_than_s: float) -> Iterator[Path]:
    """Yields temporary files and folders of writers that are long gone."""
    for path in sorted(folder.glob(f"{TEMPORARY}*")):
        if is_older(path, older_than_s):
            yield path


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder; what goes away meanwhile counts nothing."""
    found = [path, *path.rglob("*")] if path.is_dir() else [path]
    total = 0
    for each in found:
        try:
            total += each.stat().st_size if each.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def is_older(path: Path, seconds: float) -> bool:
    """Returns whether a path was last changed longer ago than that; False when it is gone."""
    try:
        return time.time() - path.stat().st_mtime >= seconds
    except FileNotFoundError:
        return False
