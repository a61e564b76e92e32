"""Stores to measure on: real plans through `orch`'s own submission, results that nobody computed.

A synthetic result goes the way of a real one (claim, part, commit), but its numbers are made up and its
checkpoint is recorded without files: nothing here trains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from orchestrator.app.session import Session
    from orchestrator.model.run import Claim, Event, Lease
    from orchestrator.ports import Work
    from orchestrator.settings import Settings

STUDY = """\
api_version: 1
study: {name}
workload: benchmarks.trivial:SPEC
design:
  type: factorial
  factors:
    x: {{path: x, levels: {{range: [0, {xs}]}}}}
    y: {{path: y, levels: {{range: [{first}, {last}]}}}}
seeds: {seeds}
tables:
  main: {{rows: x, columns: y, metric: test_error}}
"""


def study_file(folder: Path, name: str, xs: int, ys: int, seeds: int, first: int = 0) -> Path:
    """Returns the path of a study of xs times ys cells; studies of another `first` share no trial."""
    file = folder / f"{name}.yaml"
    file.write_text(STUDY.format(name=name, xs=xs, first=first, last=first + ys, seeds=seeds))
    return file


def settings_of(store: Path | str, registry_url: str | None = None) -> Settings:
    """Returns the settings of every measurement: no mirror, trials in process."""
    from orchestrator.settings import Settings

    return Settings(
        store=Path(store),
        registry_url=registry_url,
        mlflow_uri="off",
        executor="inline",
        workload_modules=("benchmarks",),
    )


@contextmanager
def opened(store: Path | str, registry_url: str | None = None) -> Iterator[Session]:
    """Yields the store, made when it is missing."""
    from orchestrator.app.session import open_session

    with open_session(settings_of(store, registry_url), create=True) as session:
        yield session


class Claimed(Exception):
    """The first bundle was claimed: what is measured ends here."""


class Ends:
    """An executor that claims one bundle and ends."""

    def run(self, work: Work) -> Iterator[Sequence[Event]]:
        """Claims the first bundle."""
        for resources in work.demand():
            if work.next_bundle(resources) is not None:
                raise Claimed
        yield ()


@contextmanager
def _ending() -> Iterator[None]:
    """Drives studies up to their first claims while it lasts."""
    with mock.patch("orchestrator.app.run.build_executor", return_value=Ends()), suppress(Claimed):
        yield


def record(store: str, files: Sequence[str], registry_url: str | None = None) -> None:
    """Submits studies up to their first claims."""
    from orchestrator.app import run, submit
    from orchestrator.app.planning import Request
    from orchestrator.app.view import Silent

    settings = settings_of(store, registry_url)
    for file in files:
        with _ending():
            submit.submit(Request(file=Path(file), patches={}), run.Running(), settings, Silent())


def resume(store: str, study: str) -> None:
    """Resumes a study up to its first claim."""
    from orchestrator.app import run, submit
    from orchestrator.app.view import Silent

    with _ending():
        submit.resume(study, run.Running(), settings_of(store), Silent())


def finish(store: str, studies: Sequence[str], rows: int, undone: int, each: int) -> None:
    """Gives waiting trainings a synthetic result.

    Args:
        store: The store.
        studies: Recorded studies.
        rows: Rows of each training: a loss a step, and the test error.
        undone: So many of each study are left waiting.
        each: Trainings of one commit and part.
    """
    from orchestrator.app.session import driving

    with opened(store) as session:
        results = session.stores.results
        for study in studies:
            with driving(session, study) as lease:
                known = session.registry.statuses()
                waiting = [key for key in session.registry.trials(study) if not known[key].state.has_result]
                waiting = waiting[: len(waiting) - undone]
                for start in range(0, len(waiting), each):
                    claims = session.registry.claim(lease, waiting[start : start + each])
                    commit(session, results, lease, claims, rows)


def commit(session: Session, results: object, lease: Lease, claims: Sequence[Claim], rows: int) -> None:
    """Commits made-up results of claimed trainings, as one part."""
    from orchestrator.model.plan import State
    from orchestrator.model.result import ResultRow
    from orchestrator.model.run import CheckpointRef, Outcome

    values, outcomes = [], []
    for claim in claims:
        key, seed = claim.trial.key, claim.trial.seed
        values += [
            ResultRow(trial=key, evaluation="train", seed=seed, step=step, metric="loss", value=1 / step)
            for step in range(1, rows)
        ]
        error = int(key[:4], 16) / 2**16
        values.append(ResultRow(trial=key, evaluation="test", seed=seed, metric="test_error", value=error))
        path = f"checkpoints/{key}/000001-{key[:8]}"
        made = CheckpointRef(trial=key, path=path, digest=key, serial=1, step=rows, size_bytes=0)
        done = Outcome(trial=key, epoch=claim.epoch, state=State.SUCCEEDED, checkpoint=made, duration_s=1.0)
        outcomes.append(done)
    part = results.write(values)  # type: ignore[attr-defined]
    accepted = session.registry.commit(lease, outcomes=outcomes, part=part)
    assert len(accepted) == len(claims), "a commit of our own was refused"
