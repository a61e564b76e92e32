"""MLflow as the mirror: one experiment a study, one run each training, gather, cell and submission.

`MlflowClient` is used, not the fluent interface, which keeps global state, asks git and logs by itself. A new
run costs three calls (create with its tags, one batch, terminate), or one transaction where the tracking
store is the store's own file (`direct.py`). The order of the calls is the protocol: a run that has ended and
bears the digest of what it should show is complete; any other run is completed again, and a kill between
two calls loses and doubles nothing.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

from orchestrator.errors import TargetError
from orchestrator.model.mirror import MirrorRun
from orchestrator.tracking import content
from orchestrator.tracking.content import (
    DIGEST_TAG,
    HASH_TAG,
    METRICS_TAG,
    NAME_LIMIT,
    NOTE_LIMIT,
    cut,
    key_hash,
)
from orchestrator.tracking.direct import Direct, direct_to
from orchestrator.tracking.schema import prepare_database, sqlite_path

PAGE = 1000  # runs asked for in one search
SINGLE_SEARCHES = 32  # so many missing keys are searched one by one (10 ms) before all are loaded (2 ms each)

_ITEM_FAULTS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
_ITEM_ERRORS = ("INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_ALREADY_EXISTS")


# The mirror has its own back-off, so a dead server must answer our thread soon and quietly.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}


class _Api(NamedTuple):
    """What we use of MLflow: imported when a tracker opens, in the mirror's thread (it takes a second)."""

    client: Any
    error: type[Exception]
    metric: Any
    param: Any
    tag: Any


@cache
def _api() -> _Api:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    # Schema creation tells its steps, and a locked database prints a traceback; the mirror logs one line.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    return _Api(MlflowClient, MlflowException, Metric, Param, RunTag)


@final
class MlflowTracker:
    """Applies mirror runs to an MLflow tracking store.

    Used by one thread at a time, and by one process at a time (the mirror holds a lock), since MLflow
    cannot create a run under a key of ours.
    """

    def __init__(self, uri: str, artifact_root: str | None = None, *, direct: bool = False) -> None:
        """Connects; a new SQLite file gets its schema.

        Args:
            uri: Tracking URI, always explicit: "sqlite:////path/mlflow.db", "http://host:5000", ...
            artifact_root: Directory or URI for artifacts of new experiments; by default "artifacts"
                beside an SQLite file, and the server's choice elsewhere.
            direct: Whether the URI is an SQLite file that nobody else writes: a new run is one transaction.

        Raises:
            TargetError: MLflow cannot be reached.
        """
        self._uri = uri
        self._api = _api()
        path = sqlite_path(uri)
        if artifact_root is None and path is not None:
            artifact_root = str(path.parent / "artifacts")
        self._artifact_root = artifact_root
        try:
            if path is not None:
                prepare_database(path)
            self._client: Any = self._api.client(tracking_uri=uri, registry_uri=uri)
            self._direct = direct_to(path) if path is not None and direct else None
        except Exception as error:  # whatever it is (a driver's error, too), there is no mirror now
            raise TargetError(self._message(error)) from error
        self._experiments: dict[str, str] = {}  # study -> experiment id
        self._known: dict[str, dict[str, str]] = {}  # study -> key hash -> run id, once loaded
        self._misses: dict[str, int] = {}

    def describe(self, study: str, *, note: str, tags: Mapping[str, str]) -> None:
        """Creates or updates the study's experiment: its note (Markdown) and tags."""
        with self._told():
            experiment = self._experiment(study)
            shown = self._client.get_experiment(experiment).tags
            for key, value in {"orch.study": study, **tags, "mlflow.note.content": note}.items():
                value = cut(value, NOTE_LIMIT if key == "mlflow.note.content" else 5000)
                if shown.get(key) != value:
                    self._client.set_experiment_tag(experiment, content.safe_name(key), value)

    def apply(self, run: MirrorRun, *, parent_id: str = "") -> str:
        """Creates or completes a run so that it shows `run` and nothing else; idempotent.

        What MLflow cannot change (a param, a recorded point) is changed by a new run in place of the
        old one, which is deleted.

        Returns:
            The run's id.

        Raises:
            TargetError: MLflow cannot be reached or is busy; try again later.
        """
        with self._told():
            experiment = self._experiment(run.study)
            existing = self._find(experiment, run)
            if existing is not None and self._outdated(existing, run):
                self._client.delete_run(existing.info.run_id)
                existing = None
            if existing is None:
                run_id = self._create(experiment, run, parent_id)
            else:
                run_id = str(existing.info.run_id)
                self._complete(existing, run)
            if run.study in self._known:
                self._known[run.study][key_hash(run)] = run_id
            return run_id

    def close(self) -> None:
        """Closes; every call has been synchronous, so nothing is left to flush."""
        self._experiments.clear()
        self._known.clear()
        if self._direct is not None:
            self._direct.close()

    # --- finding ------------------------------------------------------------------------------------

    def _experiment(self, study: str) -> str:
        if study not in self._experiments:
            name = f"orch/{study}"
            found = self._client.get_experiment_by_name(name)
            if found is None:
                location = self._artifact_location(study)
                tags = {"orch.study": study}
                self._experiments[study] = self._client.create_experiment(name, location, tags)
                self._known[study] = {}  # nobody has written to it: every run is certainly new
            else:
                if found.lifecycle_stage == "deleted":  # its runs come back with it
                    self._client.restore_experiment(found.experiment_id)
                self._experiments[study] = found.experiment_id
        return self._experiments[study]

    def _artifact_location(self, study: str) -> str | None:
        root = self._artifact_root
        if root is None:
            return None
        if "://" in root:
            return f"{root.rstrip('/')}/{study}"
        return (Path(root).resolve() / study).as_uri()

    def _find(self, experiment: str, run: MirrorRun) -> Any:
        """Returns the active run that shows this key, or None."""
        found = self._active(run.run_id, run) if run.run_id else None
        if found is None:
            run_id = self._search(experiment, run)
            found = self._active(run_id, run) if run_id else None
        return found

    def _active(self, run_id: str, run: MirrorRun) -> Any:
        """Returns the run of that id where it is ours and nobody deleted it, else None."""
        try:
            found = self._client.get_run(run_id)
        except self._api.error as error:
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                return None  # the registry remembers another, perhaps emptied, MLflow
            raise
        ours = found.data.tags.get(HASH_TAG) == key_hash(run)
        return found if ours and found.info.lifecycle_stage == "active" else None

    def _search(self, experiment: str, run: MirrorRun) -> str:
        wanted = key_hash(run)
        known = self._known.get(run.study)
        if known is None:
            self._misses[run.study] = self._misses.get(run.study, 0) + 1
            if self._misses[run.study] <= SINGLE_SEARCHES:
                found = self._client.search_runs(
                    [experiment], f"tags.\"{HASH_TAG}\" = '{wanted}'", max_results=1
                )
                return str(found[0].info.run_id) if found else ""
            known = self._known[run.study] = self._load(experiment)
        return known.get(wanted, "")

    def _load(self, experiment: str) -> dict[str, str]:
        known: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_runs([experiment], max_results=PAGE, page_token=token)
            for found in page:
                if HASH_TAG in found.data.tags:
                    known[found.data.tags[HASH_TAG]] = str(found.info.run_id)
            token = page.token
            if not token:
                return known

    # --- writing ------------------------------------------------------------------------------------

    def _create(self, experiment: str, run: MirrorRun, parent_id: str) -> str:
        tags = content.tags(run, parent_id)
        if self._direct is not None:
            return self._create_at_once(self._direct, experiment, run, tags)
        created = self._client.create_run(
            experiment, start_time=content.start_ms(run), tags=tags, run_name=cut(run.name, NAME_LIMIT)
        )
        run_id = str(created.info.run_id)
        self._client.log_batch(run_id, metrics=self._metrics(run), params=self._params(run))
        self._write_artifacts(run_id, run)
        if run.status != "RUNNING":
            self._client.set_terminated(run_id, run.status, content.end_ms(run))
        return run_id

    def _create_at_once(
        self, direct: Direct, experiment: str, run: MirrorRun, tags: Mapping[str, str]
    ) -> str:
        # files are written into a run that is there, and before it says that it is complete
        waiting = run.status == "RUNNING" or bool(content.files(run))
        run_id = direct.create(
            experiment,
            name=cut(run.name, NAME_LIMIT),
            tags=tags,
            params=content.params(run),
            points=content.points(run),
            start_ms=content.start_ms(run),
            status="RUNNING" if waiting else run.status,
            end_ms=None if waiting else content.end_ms(run),
        )
        self._write_artifacts(run_id, run)
        if waiting and run.status != "RUNNING":
            self._client.set_terminated(run_id, run.status, content.end_ms(run))
        return run_id

    def _complete(self, existing: Any, run: MirrorRun) -> None:
        run_id, shown, tags = str(existing.info.run_id), existing.data.tags, content.tags(run)
        ended = existing.info.status != "RUNNING"
        if ended and shown.get(DIGEST_TAG) == tags[DIGEST_TAG] and existing.info.status == run.status:
            return
        digests = {name: tags.pop(name) for name in (DIGEST_TAG, METRICS_TAG)}
        changed = [self._api.tag(key, value) for key, value in tags.items() if shown.get(key) != value]
        params = [each for each in self._params(run) if each.key not in existing.data.params]
        # Points that are recorded already are recognised by (value, step, timestamp) and not doubled.
        has_metrics = ended and shown.get(METRICS_TAG) == digests[METRICS_TAG]
        metrics = [] if has_metrics else self._metrics(run)
        if metrics or params or changed:
            self._client.log_batch(run_id, metrics=metrics, params=params, tags=changed)
        for key in shown:
            if key.startswith("orch.") and key not in tags and key not in digests:
                self._client.delete_tag(run_id, key)  # the error of a try before, say
        self._write_artifacts(run_id, run)
        # Last: until here the old digest makes a replay do all of it again.
        self._client.log_batch(run_id, tags=[self._api.tag(key, value) for key, value in digests.items()])
        if run.status == "RUNNING":
            if ended:
                self._client.update_run(run_id, status="RUNNING")
        elif existing.info.status != run.status or existing.info.end_time != content.end_ms(run):
            self._client.set_terminated(run_id, run.status, content.end_ms(run))

    def _outdated(self, existing: Any, run: MirrorRun) -> bool:
        """Returns whether the run shows params or points that it should not."""
        wanted = content.params(run)
        if any(wanted.get(key) != value for key, value in existing.data.params.items()):
            return True
        if existing.data.tags.get(METRICS_TAG) == content.points_digest(run):
            return False
        points = set(content.points(run))
        names = {name for name, *_ in points}
        if any(name not in names for name in existing.data.metrics):
            return True
        run_id = existing.info.run_id
        return any(
            (name, each.step, each.timestamp, each.value) not in points
            for name in existing.data.metrics
            for each in self._client.get_metric_history(run_id, name)
        )

    def _write_artifacts(self, run_id: str, run: MirrorRun) -> None:
        files = content.files(run)
        if not files:
            return
        with tempfile.TemporaryDirectory(prefix="orch-mirror-") as folder:
            for path, text in files.items():
                target = Path(folder, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            self._client.log_artifacts(run_id, folder)

    def _metrics(self, run: MirrorRun) -> list[Any]:
        metric = self._api.metric
        return [metric(name, value, at_ms, step) for name, step, at_ms, value in content.points(run)]

    def _params(self, run: MirrorRun) -> list[Any]:
        return [self._api.param(key, value) for key, value in content.params(run).items()]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what may pass by itself into TargetError; errors of the item itself go through."""
        try:
            yield
        except self._api.error as error:
            if getattr(error, "error_code", "") in _ITEM_ERRORS:
                raise
            raise TargetError(self._message(error)) from error
        except _ITEM_FAULTS:
            raise
        except (OSError, sqlite3.Error) as error:  # requests' exceptions are OSErrors
            raise TargetError(self._message(error)) from error

    def _message(self, error: Exception) -> str:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        text = f"MLflow at {self._uri} does not answer: {cut(first, 300)}"
        return re.sub(r"//[^/@\s]*@", "//***@", text)  # a password in an address stays out of logs


if TYPE_CHECKING:
    from orchestrator.ports import Tracker

    _proof: Tracker = MlflowTracker("")
