"""Makes a backup: python -m deploy.backup.backup --to DIR [--keep 7] [--target NAME].

The registry is copied first, then the store's files, so that every result that the copy lists is in it.
Drivers may run meanwhile. Which registry and store is what orch's settings say: orch.toml, ORCH_*, --target.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from deploy.backup.copies import (
    FOLDERS,
    IMMUTABLE,
    MANIFEST,
    REGISTRY_DUMP,
    REGISTRY_FILE,
    STORE,
    BackupError,
    Copy,
    Manifest,
    copied,
    copied_database,
    digest,
    read_manifest,
    run_postgres,
    told,
    write_manifest,
)
from orchestrator import __version__
from orchestrator.app.session import registry_url
from orchestrator.app.stores import Stores, stores_of
from orchestrator.errors import OrchError
from orchestrator.model.place import masked
from orchestrator.registry.location import sqlite_file
from orchestrator.registry.schema import current
from orchestrator.settings import Settings, load_settings


def back_up(settings: Settings, directory: Path, *, keep: int = 7) -> Path:
    """Makes a backup and returns its folder; older ones beyond `keep` are deleted.

    Args:
        settings: Which registry and store.
        directory: Holds the backups; files that never change are links to those of the one before.
        keep: How many stay.

    Raises:
        BackupError: It cannot be made; what was made of it is gone.
        OrchError: The registry or the store cannot be reached.
    """
    if keep < 1:
        raise BackupError(f"--keep: got {keep}, allowed are 1 and more")
    stores, url = stores_of(settings), registry_url(settings)
    schema = current(url)
    if not schema:
        raise BackupError(f"there is no registry of {stores.place}: nothing was ever submitted to it")
    now = datetime.now(UTC)
    before = _backups(directory)
    folder = directory / f".tmp-{os.getpid()}"
    with told():
        folder.mkdir(parents=True, mode=0o700)
        try:
            _registry(url, folder)
            files = {name: digest(folder / name) for name in os.listdir(folder)}
            files |= _files(stores, folder, before[-1] if before else None)
            manifest = Manifest(
                made_at=now.isoformat(),
                orch=__version__,
                schema=schema,
                store=masked(stores.place),
                files=dict(sorted(files.items())),
            )
            write_manifest(folder, manifest)
            made = directory / now.strftime("%Y%m%dT%H%M%S.%fZ")
            folder.rename(made)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for old in [*before, made][:-keep]:
            shutil.rmtree(old)
    return made


def _backups(directory: Path) -> list[Path]:
    """Returns the backups in a directory, oldest first."""
    return sorted(path.parent for path in directory.glob(f"[0-9]*/{MANIFEST}"))


def _registry(url: str, folder: Path) -> None:
    if (file := sqlite_file(url)) is not None:
        copied_database(file, folder / REGISTRY_FILE)
        return
    # The database may hold another program's tables, too.
    options = ["--format=custom", "--no-owner", "--no-privileges", "--table=orch_*"]
    run_postgres("pg_dump", [*options, f"--file={folder / REGISTRY_DUMP}"], url)


def _files(stores: Stores, folder: Path, before: Path | None) -> dict[str, Copy]:
    known = read_manifest(before).files if before is not None else {}
    found: dict[str, Copy] = {}
    for name, size in _names(stores):
        path = f"{STORE}/{name}"
        old = known.get(path)
        try:
            if before is not None and old is not None and old.size == size and name.startswith(IMMUTABLE):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                os.link(before / path, folder / path)
                found[path] = old
            else:
                found[path] = _fetched(stores, name, folder / path)
        except FileNotFoundError:  # a newer checkpoint took its place meanwhile
            continue
    if not stores.remote and stores.layout.mirror.is_file():
        copied_database(stores.layout.mirror, folder / STORE / stores.layout.mirror.name)
        found[f"{STORE}/{stores.layout.mirror.name}"] = digest(folder / STORE / stores.layout.mirror.name)
    return found


def _names(stores: Stores) -> list[tuple[str, int]]:
    """Returns names and sizes in bytes of what is to be copied; what is being written has other names."""
    if stores.remote:
        each = [(found.name, found.size) for name in FOLDERS for found in stores.objects.found(name)]
    else:
        root = stores.layout.root
        folders = [root / name for name in FOLDERS] + [stores.layout.artifacts]
        paths = [path for folder in folders for path in sorted(folder.rglob("*"))]
        each = [
            (path.relative_to(root).as_posix(), path.stat().st_size)
            for path in paths
            if path.is_file() and not path.is_symlink()
        ]
    return [(name, size) for name, size in each if "/.tmp-" not in f"/{name}"]


def _fetched(stores: Stores, name: str, target: Path) -> Copy:
    if not stores.remote:
        return copied(stores.layout.root / name, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    stores.objects.fetch(name, target)
    return digest(target)


def main(arguments: list[str] | None = None) -> int:
    """Makes one backup; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.backup.backup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--to", type=Path, required=True, help="directory of the backups")
    parser.add_argument("--keep", type=int, default=7, help="how many stay (7)")
    parser.add_argument("--target", help="table of orch.toml")
    parser.add_argument("--store", help="directory or URI")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings({"target": given.target, "store": given.store})
        print(back_up(settings, given.to, keep=given.keep))
    except OrchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
