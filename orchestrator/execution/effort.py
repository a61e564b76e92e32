"""One attempt at one trial inside a worker, and the events that tell of it."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.execution.failures import ReportError
from orchestrator.execution.history import History
from orchestrator.execution.memory import held_mb
from orchestrator.execution.processor import gpus, processor
from orchestrator.execution.sealing import Sealing, Write
from orchestrator.execution.secrets import Secrets, secret_in
from orchestrator.model.plan import Resources, State, TrialKey
from orchestrator.model.result import ResultRow
from orchestrator.model.run import (
    Cause,
    CheckpointRef,
    Claim,
    Failed,
    Failure,
    Finished,
    Reported,
    Saved,
    Started,
)
from orchestrator.ports import CheckpointStore, LogStore
from workloads.api import Placement, Report, Spec

REPORT_EVERY_S = 0.2  # of one trial: the live view needs no more, and a fast workload would drown it
# Checkpoints of a later attempt must sort after, and never clash with, those of an earlier one, of which some
# may lie on the disk unrecorded.
SERIALS_PER_EPOCH = 1_000_000


def resolve_by_name(name: str, *, modules: Collection[str] = ()) -> Spec:
    """Returns the Spec that a study's `workload:` names."""
    from orchestrator.study.workload import resolve

    return resolve(name, modules=tuple(modules))


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a worker needs besides its bundles; picklable.

    Attributes:
        checkpoints: Where checkpoints are.
        modules: Packages that `workload: package.module:SPEC` may name.
        logs: Where the trials' logs are, or None for none.
        secrets: Where secrets are kept.
        resolve: From a study's `workload:` (and `modules`) to its Spec.
    """

    checkpoints: CheckpointStore
    modules: tuple[str, ...] = ()
    logs: LogStore | None = None
    secrets: Secrets = field(default_factory=Secrets)
    resolve: Callable[..., Spec] = resolve_by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What the driver wants of running trials.

    Attributes:
        stopping: They are to save a checkpoint and end as INTERRUPTED.
        cancelled: These are to end as CANCELLED.
    """

    stopping: bool = False
    cancelled: Collection[TrialKey] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a bundle runs.

    Attributes:
        placement: Threads and devices.
        lane: Name of the worker, for people.
        accelerators: The machine's own ids of the devices, where known.
    """

    placement: Placement
    lane: str = ""
    accelerators: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """Returns host, process, lane, threads and devices."""
        found: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "lane": self.lane,
            "threads": self.placement.threads,
            "devices": list(self.placement.devices),
        }
        if self.accelerators:
            found["accelerators"] = list(self.accelerators)
        return found

    def provenance(self) -> dict[str, Any]:
        """Returns the identity, and the processor and versions that numbers may depend on."""
        return {
            **self.identity(),
            "processor": processor(),
            **({"gpu": found} if (found := gpus(self.placement.devices)) else {}),
            "python": platform.python_version(),
            **_versions(),
        }


def placement_of(resources: Resources) -> Placement:
    """Returns how a computation of a resource class is placed: one thread a CPU, whole or shared devices."""
    threads = max(1, min(int(resources.cpu), os.cpu_count() or 1))
    if not resources.gpu:
        return Placement(threads=threads)
    count = max(1, round(resources.gpu))
    return Placement(
        threads=threads,
        devices=tuple(f"cuda:{number}" for number in range(count)),
        memory_fraction=resources.gpu if resources.gpu < 1 else None,
    )


def _refuse_secrets(folder: Path) -> None:
    if (found := secret_in(folder)) is not None:
        raise ReportError(
            f"the checkpoint holds a secret in {found}; write configs by workloads.api.to_plain, "
            "which has the reference in its place"
        )


def _versions() -> dict[str, str]:
    """Returns versions of the libraries that the workload has loaded, without loading any."""
    found = {}
    for name in ("torch", "numpy"):
        module = sys.modules.get(name)
        version = getattr(module, "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


@dataclass(slots=True, kw_only=True)
class Effort:
    """One attempt at one trial: its history, its clock, and whether it is over.

    Attributes:
        claim: The leased trial.
        site: Where it runs.
        history: What it has reported, earlier attempts that it continues included.
        fusing: What was found on training its group as one network, for the record.
        notes: For the provenance ("started from 0 because ...").
        extra: Rows besides the history's (the network's description).
        resume: Directory of the verified checkpoint that it continues from.
        over: Whether Finished or Failed was told.
        begun: Whether Started was told.
        saved_step: Step of the last checkpoint of this attempt.
        sealing: A checkpoint that is not durable yet.
        clock: Seconds that never go back.
        share: How many are computed together with it, itself included: each is charged its part of the time.
    """

    claim: Claim
    site: Site
    clock: Callable[[], float] = time.monotonic
    history: History = field(default_factory=History)
    notes: dict[str, Any] = field(default_factory=dict)
    fusing: Mapping[str, Any] | None = None
    extra: tuple[ResultRow, ...] = ()
    resume: Path | None = None
    over: bool = False
    begun: bool = False
    saved_step: int | None = None
    sealing: Sealing | None = None
    share: int = 1
    _began: float = 0.0
    _saved: float = 0.0
    _told: float = float("-inf")
    _count: int = 0

    @property
    def key(self) -> TrialKey:
        """The trial's key."""
        return self.claim.trial.key

    def start(self) -> Started:
        """Returns the event of a beginning and sets the clocks."""
        self.begun = True
        self._began = self._saved = self.clock()
        found = {} if self.fusing is None else {"fusing": dict(self.fusing)}
        return Started(trial=self.key, epoch=self.claim.epoch, worker={**self.site.identity(), **found})

    def tell(self, report: Report, metrics: Mapping[str, float]) -> list[Reported]:
        """Returns the event of progress, or nothing when one was told a moment ago.

        Of a search's candidate every point of its curves is told: it may be ended for what they show.
        """
        now = self.clock()
        wanted = self.tuned and bool(metrics)
        if now - self._told < REPORT_EVERY_S and not wanted:
            return []
        self._told = now
        return [
            Reported(
                trial=self.key,
                epoch=self.claim.epoch,
                step=int(report.step),
                progress=None if report.progress is None else float(report.progress),
                metrics=dict(metrics),
            )
        ]

    @property
    def tuned(self) -> bool:
        """Whether it trains the candidate of a search."""
        return self.claim.trial.stage == "tune"

    def retell(self) -> list[Reported]:
        """Returns as events what an earlier attempt has reported, of a search's candidate."""
        if not self.tuned:
            return []
        key, epoch = self.key, self.claim.epoch
        return [
            Reported(trial=key, epoch=epoch, step=point.step, metrics=point.metrics)
            for point in self.history.points
            if not point.coords
        ]

    def due(self, interval_s: float) -> bool:
        """Returns whether the last checkpoint is old enough for another."""
        return self.clock() - self._saved >= interval_s

    def save(self, report: Report, store: CheckpointStore) -> CheckpointRef:
        """Writes a checkpoint, the workload's files and the history so far, and waits until it is durable."""
        write = self._writer(report)

        def checked(folder: Path) -> None:
            write(folder)
            _refuse_secrets(folder)

        saved = self._saver(report, store)(checked)
        self._count_from(report)
        return saved

    def save_beside(self, report: Report, store: CheckpointStore) -> list[Saved]:
        """Writes a checkpoint; a large one becomes durable beside the training, and `sealed` tells of it."""
        write = self._writer(report)
        self.sealing = Sealing(self._saver(report, store), write=write, check=_refuse_secrets)
        self._count_from(report)
        return self.sealed(wait=not self.sealing.large)

    def sealed(self, *, wait: bool = False) -> list[Saved]:
        """Returns the event of a checkpoint that has become durable since the last call, if there is one.

        Args:
            wait: Whether to wait for one that is not yet.

        Raises:
            Exception: It could not be made durable.
        """
        if self.sealing is None or not (wait or self.sealing.done):
            return []
        sealing, self.sealing = self.sealing, None
        return [Saved(trial=self.key, epoch=self.claim.epoch, checkpoint=sealing.result())]

    def _writer(self, report: Report) -> Write:
        writer = report.save
        assert writer is not None

        def write(folder: Path) -> None:
            writer(folder)
            self.history.write(folder)

        return write

    def _saver(self, report: Report, store: CheckpointStore) -> Callable[[Write], CheckpointRef]:
        self._count += 1
        earlier = self.claim.resume.serial if self.claim.resume else 0
        serial = max(self.claim.epoch * SERIALS_PER_EPOCH, earlier) + self._count
        return lambda write: store.save(self.key, serial=serial, step=int(report.step), write=write)

    def _count_from(self, report: Report) -> None:
        """Notes of which step the last checkpoint is, and that the time to the next begins now."""
        self._saved = self.clock()
        self.saved_step = int(report.step)

    def finish(self, state: State, checkpoint: CheckpointRef | None = None) -> Finished:
        """Returns the event of a result."""
        self.over = True
        return Finished(
            trial=self.key,
            epoch=self.claim.epoch,
            state=state,
            rows=(*self.history.rows(self.claim.trial, state.value), *self._extra(state.value)),
            checkpoint=checkpoint,
            duration_s=self._duration(),
            provenance={
                **self.site.provenance(),
                **({} if self.fusing is None else {"fusing": dict(self.fusing)}),
                **self.notes,
                "workload": {**self.notes.get("workload", {}), "memory_mb": held_mb()},
            },
        )

    def fail(self, failure: Failure) -> Failed:
        """Returns the event of an end without a result."""
        self.over = True
        return Failed(trial=self.key, epoch=self.claim.epoch, failure=failure, duration_s=self._duration())

    def end(self, cause: Cause, message: str) -> Failed:
        """Returns the event of an end that no exception caused."""
        return self.fail(Failure(cause=cause, message=message))

    def _duration(self) -> float:
        return (self.clock() - self._began) / self.share if self.begun else 0.0

    def _extra(self, outcome: str) -> list[ResultRow]:
        return [replace(row, outcome=outcome) for row in self.extra]
