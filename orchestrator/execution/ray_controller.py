"""`Tuner.fit` in the background: starts the lanes that are asked for, and tells the hub of lost ones."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from orchestrator.errors import TargetError
from orchestrator.execution.failures import redacted
from orchestrator.execution.ray_lane import Lane
from orchestrator.model.plan import Resources

REASON_LIMIT = 600


class Controller:
    """One call of `Tuner.fit`."""

    def __init__(self, *, hub: Any, common: Mapping[str, Any], directory: Path) -> None:
        """Starts nothing until the first lane is asked for.

        Args:
            hub: The hub's handle.
            common: Config of every lane.
            directory: For Tune's own files.
        """
        self._common = dict(common)
        self._directory = directory
        self._shared = _Shared(hub)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, lane: str, resources: Resources) -> None:
        """Asks for a lane; Tune starts it where and when there is room."""
        config = {**self._common, "lane": lane, "resources": asdict(resources)}
        self._shared.asked.append(config)
        if self._thread is None:
            self._thread = threading.Thread(target=self._fit, name="orch-tune", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Raises what ended the controller before its time.

        Raises:
            TargetError: Tune failed.
        """
        if self._thread is not None and not self._thread.is_alive() and not self._shared.over:
            raise TargetError(f"Ray Tune ended by itself: {self._error}") from self._error

    def finish(self) -> None:
        """Lets the controller end: no lane is started or restarted any more."""
        self._shared.over = True

    def join(self, timeout_s: float) -> None:
        """Waits for the controller's end."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        _SHARED.pop(self._shared.name, None)

    def _fit(self) -> None:
        shared = self._shared
        try:
            tune.Tuner(
                Lane,
                tune_config=tune.TuneConfig(
                    search_alg=_Asked(shared), num_samples=-1, trial_dirname_creator=_directory_name
                ),
                run_config=tune.RunConfig(
                    name="lanes",
                    storage_path=str(self._directory),
                    verbose=0,
                    stop=_Stop(shared),
                    callbacks=[_Losses(shared)],
                    failure_config=tune.FailureConfig(max_failures=-1),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                ),
            ).fit()
        except BaseException as error:
            self._error = error


class _Shared:
    """What the parts that Tune holds share with us. Tune pickles them: they name it instead."""

    def __init__(self, hub: Any) -> None:
        self.name = uuid.uuid4().hex
        self.hub = hub
        self.asked: deque[dict[str, Any]] = deque()
        self.over = False
        _SHARED[self.name] = self


_SHARED: dict[str, _Shared] = {}


def _restored(kind: type, name: str) -> Any:
    return kind(_SHARED[name])


class _Asked(Searcher):  # type: ignore[misc]
    """Gives Tune the lanes that were asked for."""

    def __init__(self, shared: _Shared) -> None:
        super().__init__()
        self._shared = shared

    def __reduce__(self) -> Any:
        return _restored, (type(self), self._shared.name)

    def suggest(self, trial_id: str) -> Any:
        if self._shared.over:
            return Searcher.FINISHED
        with contextlib.suppress(IndexError):
            return self._shared.asked.popleft()
        return None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class _Stop(tune.Stopper):  # type: ignore[misc]
    """Ends the experiment when we say so."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared

    def __reduce__(self) -> Any:
        return _restored, (type(self), self._shared.name)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._shared.over


class _Losses(tune.Callback):  # type: ignore[misc]
    """Tells the hub which lane has died."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared

    def __reduce__(self) -> Any:
        return _restored, (type(self), self._shared.name)

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._lost(trial)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._lost(trial)

    def _lost(self, trial: Any) -> None:
        self._shared.hub.lose.remote(trial.config["lane"], _reason(trial))


def _reason(trial: Any) -> str:
    """Returns what Ray says about a worker's end, on one line."""
    try:
        # Tune appends each failure of a trial to this file, before it calls us.
        text = Path(trial.error_file).read_text(errors="replace").rpartition("Failure # ")[2]
    except (OSError, TypeError):
        text = ""
    lines = [line.strip() for line in text.splitlines()[1:] if line.strip()]
    # The exit's details say most; what follows are Ray's guesses at common causes.
    detail = " ".join(lines).rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    return redacted(detail)[-REASON_LIMIT:] or "its worker died"


def _directory_name(trial: Any) -> str:
    return f"{trial.config['lane']}-{trial.trial_id}"
