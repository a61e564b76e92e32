"""A fresh MLflow database by copy equals one that MLflow makes itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from orchestrator.tracking.schema import prepare_database, sqlite_path


def described(path: Path) -> Any:
    """Tables, columns, indexes, foreign keys (their order is not fixed), version and experiments."""
    with closing(sqlite3.connect(path)) as connection:
        ask = connection.execute
        names = [name for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: sorted(map(repr, ask(f"PRAGMA table_xinfo('{name}')"))) for name in names}
        keys = {name: sorted(row[2:] for row in ask(f"PRAGMA foreign_key_list('{name}')")) for name in names}
        indexes = {
            name: sorted(
                (row[2:], [column[2] for column in ask(f"PRAGMA index_info('{row[1]}')")])
                for row in ask(f"PRAGMA index_list('{name}')")
            )
            for name in names
        }
        version = ask("SELECT version_num FROM alembic_version").fetchall()
        experiments = ask("SELECT experiment_id, name, lifecycle_stage FROM experiments").fetchall()
        return columns, keys, indexes, version, experiments


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite:///b.db", "b.db"),
        ("sqlite:////a%20b/c.db?timeout=5", "/a b/c.db"),
        ("http://host:5000", None),
        ("postgresql://host/db", None),
    ],
)
def test_the_file_of_an_address(uri: str, path: str | None) -> None:
    assert sqlite_path(uri) == (None if path is None else Path(path))


def test_a_copied_database_is_mlflows_own(tmp_path: Path) -> None:
    cache, made, own = tmp_path / "cache", tmp_path / "deep" / "made.db", tmp_path / "own.db"
    prepare_database(made, cache)
    (template,) = cache.iterdir()
    stamp = template.stat().st_mtime_ns
    prepare_database(tmp_path / "second.db", cache)
    assert template.stat().st_mtime_ns == stamp, "the template was made twice"
    for path in (made, own):
        MlflowClient(f"sqlite:///{path}")  # adds the experiment "Default"
    assert described(made) == described(own)
    assert not list(made.parent.glob(".tmp-*"))


def test_a_database_that_stands_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"mine")
    prepare_database(path, tmp_path / "cache")
    assert path.read_bytes() == b"mine"


def test_without_a_cache_it_is_made_in_place(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")
    prepare_database(tmp_path / "mlflow.db", tmp_path / "cache")
    assert MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_experiment("0").name == "Default"


def test_readers_do_not_stop_the_mirror(tmp_path: Path) -> None:
    prepare_database(tmp_path / "mlflow.db", tmp_path / "cache")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
