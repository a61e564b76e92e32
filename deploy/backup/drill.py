"""Tries the way back: python -m deploy.backup.drill [BACKUP] [--target NAME] [--scratch-url URL].

Takes a backup (or the one that is named), puts it into a scratch place, compares every digest there as
`orch fsck` does, and builds the tables of every study in both places: they must be the same, byte for byte.
For a registry on Postgres --scratch-url names an empty database, say one made by `createdb orch_drill`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from deploy.backup.backup import back_up
from deploy.backup.copies import BackupError
from deploy.backup.restore import restore
from orchestrator.app.fsck import examine
from orchestrator.app.results import render_all, study_of, try_tables
from orchestrator.app.session import open_session, registry_url
from orchestrator.errors import OrchError
from orchestrator.registry.location import sqlite_file
from orchestrator.settings import Settings, load_settings


def drill(settings: Settings, *, backup: Path | None = None, scratch_url: str | None = None) -> list[str]:
    """Puts a backup into a scratch place and compares it with the original; returns the studies it compared.

    Args:
        settings: The original.
        backup: A backup of it, made since something last changed; None makes one.
        scratch_url: An empty database, for a registry on Postgres; its content is left there.

    Raises:
        BackupError: Something is damaged there, or tables differ; says what.
    """
    if sqlite_file(registry_url(settings)) is None and scratch_url is None:
        raise BackupError("the registry is on Postgres: name an empty database with --scratch-url")
    with tempfile.TemporaryDirectory(prefix="orch-drill-") as name:
        place = Path(name)
        folder = backup or back_up(settings, place / "backups")
        changes = {"store": str(place / "store"), "registry_url": scratch_url}
        scratch = settings.model_copy(update=changes)
        restore(folder, scratch)
        _whole(scratch)
        original, found = _tables(settings), _tables(scratch)
    differing = [study for study in original.keys() | found.keys() if original.get(study) != found.get(study)]
    if differing:
        raise BackupError(
            f"the tables of {', '.join(sorted(differing))} differ: was anything committed since the backup "
            "was made?"
        )
    return sorted(found)


def _whole(settings: Settings) -> None:
    """Raises BackupError when something recorded is damaged or missing."""
    with open_session(settings) as session:
        damage = examine(session, session.stores.unread(), session.stores.checkpoints).damage
    if damage:
        lines = "\n  ".join(f"{each.kind} {each.place}: {each.problem}" for each in damage)
        raise BackupError(f"what was put back is not whole:\n  {lines}")


def _tables(settings: Settings) -> dict[str, str]:
    """Returns study -> its tables as text, and what keeps others from being built."""
    found = {}
    with open_session(settings) as session:
        for submission in session.registry.studies():
            tables, problems = try_tables(session, study_of(session, submission.study))
            found[submission.study] = render_all(tables, "csv") + "\n".join(map(str, problems))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs one drill; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.backup.drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("backup", type=Path, nargs="?")
    parser.add_argument("--target", help="table of orch.toml")
    parser.add_argument("--store", help="directory or URI")
    parser.add_argument("--scratch-url", help="an empty Postgres database")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings({"target": given.target, "store": given.store})
        studies = drill(settings, backup=given.backup, scratch_url=given.scratch_url)
    except OrchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"the backup is good: {len(studies)} studies with the same tables: {', '.join(studies)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
