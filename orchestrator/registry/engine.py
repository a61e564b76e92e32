"""Connections and transactions: one method of the registry is one call of `read` or `write`."""

from __future__ import annotations

import errno
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from orchestrator.errors import CorruptError, OrchError, TargetError
from orchestrator.registry.location import secrets, shown

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
AnyRow: TypeAlias = "sa.Row[*tuple[Any, ...]]"
BUSY_TIMEOUT_MS = 30_000
PATIENCE_S = 30.0  # how long a database that is busy or restarting is asked again
CHUNK = 900  # keys in one IN list

_WRITES = "orch_writes"
_FULL = {"SQLITE_FULL": errno.ENOSPC, "SQLITE_READONLY": errno.EROFS, "SQLITE_IOERR": errno.EIO}
# Of Postgres: serialization, deadlock, lock timeout, shutdown and start, too many connections.
_AGAIN = frozenset(["40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300"])


class Database:
    """A database with our rules of transactions: SQLite or Postgres."""

    def __init__(self, url: sa.URL, *, patience_s: float = PATIENCE_S) -> None:
        """Makes the engine; connects at the first transaction."""
        self.url = url
        self.name = shown(url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._patience_s = patience_s
        self.engine = sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Returns what `work` returns, in one transaction that may write.

        `work` runs again when the database was busy or the connection broke, even when the reply to a
        COMMIT was lost: it must find its own traces.

        Raises:
            TargetError: The database cannot be reached.
            CorruptError: The file is damaged.
            OSError: The disk is full, read-only or failing.
        """
        return self._patiently(lambda: self._once(work, {_WRITES: True}))

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Returns what `work` returns, in one snapshot; raises as `write`."""
        options: dict[str, Any] = {}
        if not self.is_sqlite:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return self._patiently(lambda: self._once(work, options))

    def _once(self, work: Callable[[sa.Connection], T], options: dict[str, Any]) -> T:
        with self.engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin():
                return work(connection)

    def _patiently(self, once: Callable[[], T]) -> T:
        began, pause_s = time.monotonic(), 0.02
        while True:
            try:
                return once()
            except DBAPIError as error:
                if not _again(error) or time.monotonic() - began > self._patience_s:
                    raise translated(error, self.url) from None
            # Jitter: those that collided must not meet again at the same moment.
            time.sleep(pause_s * (0.5 + random.random()))
            pause_s = min(2 * pause_s, 2.0)

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def sqlite_engine(url: sa.URL, *, foreign_keys: bool = True) -> sa.Engine:
    """Returns an engine on a SQLite file that begins transactions itself.

    A transaction that reads first and writes later fails at once in WAL mode when somebody else wrote
    in between, whatever the timeout is; therefore writers begin IMMEDIATE.
    """
    engine = sa.create_engine(url, poolclass=NullPool if not foreign_keys else None)

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the driver is not to begin transactions of its own
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def writing(connection: sa.Connection) -> sa.Connection:
    """Returns the connection, marked so that its transactions may write."""
    return connection.execution_options(**{_WRITES: True})


def _postgres_engine(url: sa.URL) -> sa.Engine:
    try:
        # `hide_parameters`: errors must not print labels, configs or tracebacks of users.
        return sa.create_engine(
            url, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": 10}
        )
    except ModuleNotFoundError:
        raise TargetError("a registry on Postgres needs psycopg; install orch[postgres]") from None


def _again(error: DBAPIError) -> bool:
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return str(name).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in _AGAIN or state.startswith("08")
    return error.connection_invalidated or isinstance(error, OperationalError)


def translated(error: DBAPIError, url: sa.URL) -> Exception:
    """Returns a failure of the database as the error a user should read; without any password."""
    place, text = shown(url), str(error.orig).strip()
    for word in secrets(url):
        text = text.replace(word, "***")
    name = str(getattr(error.orig, "sqlite_errorname", "") or "")
    for prefix, code in _FULL.items():
        if name.startswith(prefix):
            return OSError(code, f"the registry cannot be written: {text}", place)
    if getattr(error.orig, "sqlstate", None) == "53100":
        return OSError(errno.ENOSPC, f"the registry cannot be written: {text}", place)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return CorruptError(damaged(place, text))
    if isinstance(error, OperationalError):
        return TargetError(f"the registry {place} does not answer: {text}; check the address and try again")
    return RegistryFault(f"the registry {place} refused a statement: {text}")


def damaged(place: str, detail: str, *, copy: str = "") -> str:
    """Returns the message for a damaged SQLite file; `copy` is the newest one of it, where that is known."""
    return (
        f"the registry {place} is damaged ({detail}); nothing was written. Put "
        f"{copy or 'the newest file of the folder backups/ of the store'} in its place, and remove the files "
        "ending in -wal and -shm; then `orch fsck --repair` and `orch resume`: what was finished after the "
        "copy is computed again"
    )


class RegistryFault(OrchError):
    """A statement that the database refused: a bug of ours, or a schema that is not ours."""


# --- small helpers for statements -------------------------------------------------------------------------


def upsert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Returns an INSERT that knows ON CONFLICT, of the connection's dialect."""
    # One dialect a process: the other one would be imported for nothing, by every command.
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows that are not yet there, whatever constraint says so."""
    if rows:
        connection.execute(upsert(connection, table).on_conflict_do_nothing(), [dict(row) for row in rows])


def chunks(keys: Iterator[T] | Sequence[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Yields lists of at most `size`."""
    iterator = iter(keys)
    while chunk := list(islice(iterator, size)):
        yield chunk
