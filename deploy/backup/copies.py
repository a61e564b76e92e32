"""What a backup is: a directory with the registry, the store's files, and a manifest with every digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.app.launch import without_password
from orchestrator.errors import OrchError
from orchestrator.registry.location import parse, shown

MANIFEST = "manifest.json"
REGISTRY_FILE = "registry.db"
REGISTRY_DUMP = "registry.dump"
STORE = "store"
# Of the store's folders: what is in these never changes once it is written.
IMMUTABLE = ("results", "checkpoints", "code")
FOLDERS = (*IMMUTABLE, "logs")
_BLOCK_BYTES = 2**20


class BackupError(OrchError):
    """A backup cannot be made, is damaged, or cannot be put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One file of a backup: its size in bytes and sha256."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds.

    Attributes:
        made_at: UTC, ISO 8601: when the registry was copied; later results are not in it.
        orch: Version that made it.
        schema: Version of the registry's schema.
        store: Where it came from, without secrets.
        files: Path within the backup -> its copy.
    """

    made_at: str
    orch: str
    schema: str
    store: str
    files: Mapping[str, Copy]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest durably; a folder without one is no backup."""
    path = folder / MANIFEST
    with path.open("x", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """Returns what a backup holds.

    Raises:
        BackupError: The folder is none.
    """
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {name: Copy(**copy) for name, copy in content.pop("files").items()}
        return Manifest(files=files, **content)
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST}") from None
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{folder / MANIFEST} cannot be read: {error}") from None


def check(folder: Path, manifest: Manifest) -> None:
    """Compares every file of a backup with its digest.

    Raises:
        BackupError: Names each file that is missing or has changed.
    """
    wrong = []
    for name, copy in manifest.files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or path.is_symlink():
            wrong.append(f"{name}: not a path within the backup")
        elif not path.is_file():
            wrong.append(f"{name}: missing")
        elif digest(path) != copy:
            wrong.append(f"{name}: its bytes are not those that were written")
    if wrong:
        raise BackupError(f"{folder} is damaged; take an older one:\n  " + "\n  ".join(wrong))


def digest(path: Path) -> Copy:
    """Returns the size and sha256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found.update(block)
    return Copy(size=path.stat().st_size, sha256=found.hexdigest())


def copied(source: Path, target: Path) -> Copy:
    """Copies a file durably; returns what was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as written:
        while block := read.read(_BLOCK_BYTES):
            found.update(block)
            written.write(block)
        written.flush()
        os.fsync(written.fileno())
    return Copy(size=target.stat().st_size, sha256=found.hexdigest())


def copied_database(source: Path, target: Path) -> None:
    """Copies a SQLite file as of one moment, while others may write to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source, timeout=30)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")
    handle = os.open(target, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def run_postgres(program: str, arguments: Sequence[str], url: str) -> None:
    """Runs one of Postgres's own programs on a database; the password is not seen in its arguments.

    Args:
        program: "pg_dump" or "pg_restore".
        arguments: Besides the address.
        url: The database.

    Raises:
        BackupError: It is not installed, or failed; says what it said.
    """
    if shutil.which(program) is None:
        raise BackupError(
            f"{program} is not installed: apt-get install postgresql-client, of the server's version"
        )
    address = parse(url)
    plain = without_password(url).replace("postgresql+psycopg://", "postgresql://", 1)
    environment: dict[str, Any] = dict(os.environ)
    if address.password:
        environment["PGPASSWORD"] = str(address.password)
    done = subprocess.run(
        [program, *arguments, f"--dbname={plain}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"{program} of {shown(address)} failed: {done.stderr.strip()}")


@contextmanager
def told() -> Iterator[None]:
    """Turns what goes wrong with disks into one message."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise BackupError(str(error)) from error
