"""Puts a backup back: python -m deploy.backup.restore BACKUP --store PLACE [--registry-url URL].

Every file is compared with its digest before anything is written, and nothing is written over: the store must
be empty and the database without a registry. The registry comes last, so that what it lists is there.
Afterwards `orch fsck` says whether all is well, and `orch resume` goes on with what ran back then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.backup.copies import (
    FOLDERS,
    REGISTRY_DUMP,
    REGISTRY_FILE,
    STORE,
    BackupError,
    Manifest,
    check,
    copied,
    read_manifest,
    run_postgres,
    told,
)
from orchestrator.app.session import registry_url
from orchestrator.app.stores import Stores, stores_of
from orchestrator.errors import OrchError
from orchestrator.registry.location import parse, shown, sqlite_file
from orchestrator.registry.schema import current
from orchestrator.settings import Settings, load_settings


def restore(folder: Path, settings: Settings) -> Manifest:
    """Puts a backup into a store and a registry that are empty; returns what it held.

    Args:
        folder: The backup.
        settings: Where to.

    Raises:
        BackupError: It is damaged, its kind of registry is another, or there is something already; nothing
            was written.
        OrchError: The registry or the store cannot be reached.
    """
    manifest = read_manifest(folder)
    check(folder, manifest)
    stores, url = stores_of(settings), registry_url(settings)
    file = sqlite_file(url)
    _refuse(folder, stores, url)
    with told():
        stores.create()
        names = [name for name in manifest.files if name.startswith(f"{STORE}/")]
        targets = {name.removeprefix(f"{STORE}/"): folder / name for name in names}
        if stores.remote:
            stores.objects.put_files({to: path for to, path in targets.items() if to.startswith(FOLDERS)})
        else:
            for to, path in targets.items():
                copied(path, stores.layout.root / to)
        if file is not None:
            copied(folder / REGISTRY_FILE, file)
    if file is None:
        options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
        run_postgres("pg_restore", [*options, str(folder / REGISTRY_DUMP)], url)
    return manifest


def _refuse(folder: Path, stores: Stores, url: str) -> None:
    """Raises BackupError when the backup cannot go there."""
    has_file, wants_file = (folder / REGISTRY_FILE).is_file(), sqlite_file(url) is not None
    if has_file != wants_file:
        kinds = {True: "a SQLite file", False: "a Postgres database"}
        raise BackupError(
            f"the registry of {folder} is {kinds[has_file]}, that of {stores.place} would be "
            f"{kinds[wants_file]}: name one of its kind with --registry-url"
        )
    if current(url):
        raise BackupError(
            f"{shown(parse(url))} holds a registry already: a backup is put into an empty place only"
        )
    if stores.remote:
        there = any(stores.objects.found(name) for name in FOLDERS)
    else:
        there = any(any((stores.layout.root / name).glob("*")) for name in FOLDERS)
    if there:
        raise BackupError(f"the store {stores.place} is not empty: a backup is put into an empty place only")


def main(arguments: list[str] | None = None) -> int:
    """Puts one backup back; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.backup.restore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("backup", type=Path)
    parser.add_argument("--store", required=True, help="directory or URI, empty")
    parser.add_argument("--registry-url", help="empty database; default: a file in the store")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings({"store": given.store, "registry_url": given.registry_url})
        manifest = restore(given.backup, settings)
    except OrchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(manifest.files)} files of {manifest.made_at} put back into {given.store}; now: orch fsck")
    return 0


if __name__ == "__main__":
    sys.exit(main())
