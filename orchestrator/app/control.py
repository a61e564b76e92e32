"""What the web page may change: a study is cancelled here, and resumed by a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.inspect import one_trial
from orchestrator.app.results import recorded
from orchestrator.app.session import Session, user
from orchestrator.errors import NotFoundError, TargetError
from orchestrator.model.plan import State
from orchestrator.model.run import Owner

FOLDER = "drivers"  # of the store's directory on this machine: what drivers that nobody watches print


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What a cancellation, or a resumption, is about.

    Attributes:
        counts: State -> trials of the study, or of the one trial.
        driver: Who drives the study now.
        owner: Who submitted it, where that is somebody else; else "".
    """

    counts: Mapping[State, int]
    driver: Owner | None
    owner: str

    @property
    def open(self) -> int:
        """Trials that are not final."""
        return sum(number for state, number in self.counts.items() if not state.final)


def stake(session: Session, study: str, trial: str = "") -> Stake:
    """Returns what somebody who wants to cancel or resume should know.

    Raises:
        NotFoundError: There is no such study, or the study has no such trial.
    """
    submission = recorded(session, study)
    registry = session.registry
    if trial:
        key = one_trial(session, trial)
        named = any(each.study == study for each in registry.assigned([key]))
        if not named and key not in registry.keys(study):  # a parent that no observation names
            raise NotFoundError(f"no trial {trial!r} in {study!r}; `orch show {study}` lists its trials")
        counts = Counter([registry.statuses([key])[key].state])
    else:
        counts = Counter[State]()
        for (_, state), number in registry.counts(study).get(study, {}).items():
            counts[state] += number
    whose = str(submission.arguments.get("user") or user())
    return Stake(counts=counts, driver=registry.driver(study), owner="" if whose == user() else whose)


def resume_apart(
    session: Session, study: str, *, failed: bool = False, include_cancelled: bool = False
) -> str:
    """Resumes a study: in the target's cluster where it starts drivers, else as a process of its own.

    The process outlives this one, and asks nothing; what it prints is kept (`driver_text`).

    Args:
        session: The store.
        study: As recorded.
        failed: Whether failed trials are tried again.
        include_cancelled: Whether cancelled ones are.

    Returns:
        Who drives: "job ..." or "process ...".

    Raises:
        NotFoundError: The store has no such study.
        TargetError: The cluster cannot be reached, or no process can be started.
    """
    recorded(session, study)
    settings = session.settings
    if settings.jobs_address is not None:
        from orchestrator.app.launch import resume_elsewhere
        from orchestrator.app.run import Running

        running = Running(executor="ray", max_concurrent=settings.max_concurrent)
        launched = resume_elsewhere(
            study, running, settings, failed=failed, include_cancelled=include_cancelled
        )
        return f"job {launched.job}" if launched.job else ""
    # Whatever else is set comes from where this process has it: the environment, and orch.toml.
    command = [sys.executable, "-m", "orchestrator.cli.main", "resume", study, "--no-input", "--no-color"]
    command += ["--store", session.stores.place]
    command += ["--target", settings.target] if settings.target else []
    command += ["--failed"] if failed else []
    command += ["--include-cancelled"] if include_cancelled else []
    file = _file(session, study)
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise TargetError(f"no driver can be started: {error}; `orch resume {study}` says more") from None
    return f"process {process.pid}"


def driver_text(session: Session, study: str) -> str:
    """Returns what the last driver that was started from here has printed, "" where there is none."""
    try:
        return _file(session, study).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _file(session: Session, study: str) -> Path:
    return session.stores.layout.root / FOLDER / f"{study}.log"
