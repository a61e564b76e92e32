"""A whole new run into MLflow's own tables, in one transaction: the client needs thirty statements.

Only for the store's own SQLite file, whose one writer is the mirror, and only at the revision of MLflow's
schema that is known here; otherwise the client is used. Both leave the same rows: a test compares them.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, final

from orchestrator.errors import TargetError
from orchestrator.tracking import content

REVISION: Final = "dc11669786a5"  # of MLflow 3.17's schema, as Alembic has it
BUSY_S: Final = 20.0  # as long as MLflow waits for other writers
# the experiment is there and not deleted, or nothing is written
_RUN: Final = """
INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,
    end_time, deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
SELECT :id, :name, 'UNKNOWN', '', '', :user, :status, :start,
    :end, NULL, '', 'active', rtrim(artifact_location, '/') || '/' || :id || '/artifacts', experiment_id
FROM experiments WHERE experiment_id = :experiment AND lifecycle_stage = 'active'
"""
_TEXT: Final = "INSERT INTO {table} (run_uuid, key, value) VALUES (?, ?, ?)"
_POINT: Final = (
    "INSERT INTO {table} (run_uuid, key, step, timestamp, value, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
)


@final
class Direct:
    """Writes new runs into a database of MLflow's; one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Takes the file; `direct_to` looks whether it is as expected."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def create(
        self,
        experiment: str,
        *,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, str],
        points: Sequence[content.Point],
        start_ms: int,
        status: str,
        end_ms: int | None,
    ) -> str:
        """Writes a run with all that it shows and returns its id.

        Args:
            experiment: Id of the experiment.
            name: What the run list shows.
            tags: All tags but the one that bears the name.
            params: All params.
            points: All points, finite, each once.
            start_ms: Start.
            status: "RUNNING", "FINISHED", "FAILED" or "KILLED".
            end_ms: End of a run that has ended.

        Raises:
            TargetError: Somebody has deleted the experiment; a new tracker makes it again.
            sqlite3.Error: The database is busy or damaged; nothing is written.
        """
        run_id = uuid.uuid4().hex
        run = {
            "id": run_id,
            "name": name,
            "user": tags.get("mlflow.user", "unknown"),
            "status": status,
            "start": start_ms,
            "end": end_ms,
            "experiment": int(experiment),
        }
        texts = {"tags": {**tags, "mlflow.runName": name}, "params": params}
        curves = {"metrics": points, "latest_metrics": latest(points)}
        connection = self._opened()
        with connection:  # a transaction
            if connection.execute(_RUN, run).rowcount != 1:
                raise TargetError(f"MLflow's experiment {experiment} was deleted")
            for table, values in texts.items():
                rows = [(run_id, *each) for each in values.items()]
                connection.executemany(_TEXT.format(table=table), rows)
            for table, each in curves.items():
                connection.executemany(_POINT.format(table=table), [(run_id, *point) for point in each])
        return run_id

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, timeout=BUSY_S, check_same_thread=False)
            self._connection.execute("PRAGMA foreign_keys = ON")
        return self._connection


def direct_to(path: Path) -> Direct | None:
    """Returns the writer for an SQLite file, or None where its schema is not the one known here."""
    with closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return Direct(path) if found == [(REVISION,)] else None


def latest(points: Sequence[content.Point]) -> list[content.Point]:
    """Returns of each name the point that MLflow calls the latest."""
    found: dict[str, content.Point] = {}
    for point in points:
        if point[0] not in found or point[1:] > found[point[0]][1:]:
            found[point[0]] = point
    return list(found.values())
