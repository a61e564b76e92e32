"""Migrations, damaged and foreign files, backups."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.errors import CorruptError, NotFoundError, TargetError
from orchestrator.registry import schema
from orchestrator.registry.location import parse
from orchestrator.registry.registry import open_registry
from orchestrator.registry.tables import METADATA
from tests.contracts.storage_fixtures import ROOT, Server, plan_of, postgres, submission, training

__all__ = ["postgres"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my store?100%#1" / "registry.db"


def tables(url: str) -> set[str]:
    engine = sa.create_engine(parse(url))
    try:
        return set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


OURS = {*METADATA.tables, schema.VERSION_TABLE}


class TestMigrations:
    @pytest.fixture(params=["sqlite", "postgres"])
    def url(self, request: pytest.FixtureRequest, path: Path) -> str:
        if request.param == "postgres":
            server: Server = request.getfixturevalue("postgres")
            return server.empty()
        path.parent.mkdir()
        return str(path)

    def test_up_down_and_up_again(self, url: str) -> None:
        assert schema.current(url) == ""
        assert schema.upgrade(url) == ""
        assert tables(url) == OURS
        schema.check(url)
        assert schema.current(url) == schema.head()
        assert schema.upgrade(url) == schema.head()
        assert schema.downgrade(url) == schema.head()
        assert tables(url) <= {schema.VERSION_TABLE}
        assert schema.upgrade(url) == ""
        schema.check(url)

    def test_check_sees_a_difference(self, url: str) -> None:
        schema.upgrade(url)
        engine = sa.create_engine(parse(url))
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE orch_trials ADD COLUMN surprise TEXT"))
        engine.dispose()
        with pytest.raises(Exception, match="surprise"):
            schema.check(url)

    def test_a_newer_schema_is_refused_by_name(self, url: str) -> None:
        schema.upgrade(url)
        engine = sa.create_engine(parse(url))
        with engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9876'"))
        engine.dispose()
        for use in (open_registry, schema.upgrade):
            with pytest.raises(TargetError, match=rf"9876.*{schema.head()}.*upgrade orch"):
                use(url)
        assert schema.current(url) == "9876"


def test_postgres_is_upgraded_by_hand_only(postgres: Server) -> None:
    url = postgres.empty()
    with pytest.raises(TargetError, match=r"has no registry yet.*orch db upgrade"):
        open_registry(url)
    assert tables(url) == set()


def test_asking_makes_no_file(path: Path) -> None:
    assert schema.current(str(path)) == ""
    with pytest.raises(NotFoundError, match="nothing has been submitted"):
        open_registry(str(path), create=False)
    assert not path.parent.exists()


def test_settings_of_sqlite(path: Path) -> None:
    registry = open_registry(str(path))
    with registry._database.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000, "foreign_keys": 1}
    registry.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["registry.db"]


def test_an_old_file_is_copied_before_it_is_upgraded(path: Path) -> None:
    open_registry(str(path)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO orch_documents VALUES ('d', '{}')")
    schema.downgrade(str(path))
    (copy,) = (path.parent / "backups").glob("registry-*.db")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT body FROM orch_documents").fetchall() == [("{}",)]
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    assert not list((path.parent / "backups").glob(".tmp*"))


def test_many_open_a_new_store_at_once(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for registry in pool.map(lambda _: open_registry(str(path)), range(8)):
            assert registry.studies() == []
            registry.close()
    schema.check(str(path))


@pytest.mark.parametrize("damage", ["truncated", "garbage", "bits", "emptied"])
def test_a_damaged_file_is_named_and_left_alone(path: Path, damage: str) -> None:
    registry = open_registry(str(path))
    registry.record(submission("s"), plan_of("s", *(training(n) for n in range(500))))
    registry.close()
    schema.backup(path, path.parent / "backups")
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "garbage":
        data = bytearray(os.urandom(8192))
    elif damage == "bits":
        for place in range(4096 * 5, len(data), 4096):
            data[place : place + 100] = bytes(100)
    else:
        data = bytearray()
    path.write_bytes(data)
    with pytest.raises(CorruptError, match=r"damaged.*backups/"):
        open_registry(str(path))
    assert path.read_bytes() == data
    # What the message says works.
    (copy,) = (path.parent / "backups").glob("registry-*.db")
    shutil.copy(copy, path)
    registry = open_registry(str(path))
    assert len(registry.trials("s")) == 500
    registry.close()


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE experiments (id INTEGER)")
    with pytest.raises(TargetError, match=r"something else.*'experiments'"):
        open_registry(str(path))
    assert tables(str(path)) == {"experiments"}


KILLED_IN_MIGRATION = """
import os, signal, sys
sys.path.insert(0, {root!r})
import sqlalchemy as sa
from orchestrator.registry.registry import open_registry
seen = 0
@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def before(conn, cursor, statement, *rest):
    global seen
    if statement.lstrip().upper().startswith(("CREATE", "INSERT", "ALTER")):
        seen += 1
        if seen == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
open_registry(sys.argv[1]).close()
print("done")
"""


def test_a_migration_killed_anywhere_leaves_nothing(path: Path) -> None:
    for number in range(1, 100, 5):
        command = [sys.executable, "-c", KILLED_IN_MIGRATION.format(root=str(ROOT)), str(path), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout == "done\n":
            break
        assert done.returncode == -9, done.stderr
        assert tables(str(path)) == set()
    else:
        pytest.fail("the migration was never finished")
    assert number > 10, "it was killed at too few places to mean anything"
    schema.check(str(path))


def test_versions_are_those_that_alembic_finds() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(schema._config())
    assert schema.known() == sorted(each.revision for each in script.walk_revisions())
    assert schema.head() == script.get_current_head()
