"""A fresh SQLite file for MLflow, prepared quickly.

MLflow builds a new database by running every migration of its history: 1.5 s of processor time beside
the first trainings. The empty result depends on MLflow's version alone, so it is kept in the user's
cache directory and copied.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote

import platformdirs

_SCHEME = "sqlite:///"


def sqlite_path(uri: str) -> Path | None:
    """Returns the file of an "sqlite:///..." URI, or None for any other URI."""
    if not uri.startswith(_SCHEME):
        return None
    return Path(unquote(uri.removeprefix(_SCHEME).partition("?")[0]))


def prepare_database(path: Path, cache: Path | None = None) -> None:
    """Makes a new MLflow database at `path`; nothing happens when there is a file.

    The file is switched to write-ahead logging: a page that reads it does not stop the mirror, and a
    commit costs one flush in place of three.

    Args:
        path: The SQLite file.
        cache: Directory of templates; the user's cache directory by default.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    template = _template(cache or platformdirs.user_cache_path("orch"))
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=".db", dir=path.parent)
    os.close(handle)
    try:
        if template is not None:
            _copy(template, Path(name))
        else:
            _create(Path(name))
        _set_wal(Path(name))
        with suppress(FileExistsError):  # another process was first: its file stays
            os.link(name, path)
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(name + suffix).unlink(missing_ok=True)


def _template(cache: Path) -> Path | None:
    """Returns the empty database of this MLflow version, or None where no cache can be written."""
    from mlflow.version import VERSION

    template = cache / f"mlflow-{VERSION}.db"
    if template.exists():
        return template
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=cache) as folder:
            fresh = Path(folder, "fresh.db")
            _create(fresh)
            os.replace(fresh, template)
    except OSError:
        return None
    return template


def _create(path: Path) -> None:
    """Lets MLflow migrate an empty file, without the experiment that knows where the file lies."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{path}")
    try:
        _initialize_tables(engine)
    finally:
        engine.dispose()


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


def _set_wal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
