"""What happens while trials run: claims, bundles, events, outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from orchestrator.model.plan import Resources, Stage, State, Trial, TrialKey
from orchestrator.model.result import ResultRow


class Cause(StrEnum):
    """Why an attempt ended without a result."""

    ERROR = "error"  # the workload raised
    OUT_OF_MEMORY = "out of memory"
    LOST = "lost"  # its worker died
    NODE_LOST = "node lost"
    PREEMPTED = "preempted"  # its node was taken away, by its owner's rule
    HUNG = "hung"
    DISK = "disk"
    INTERRUPTED = "interrupted"  # asked to stop; resumable
    CANCELLED = "cancelled"
    CORRUPT = "corrupt"  # a checkpoint it needs is damaged or missing

    @property
    def charged(self) -> bool:
        """Whether it counts against the trial's budget of attempts."""
        return self in (Cause.ERROR, Cause.OUT_OF_MEMORY, Cause.HUNG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt ended: cause, one-line message, traceback."""

    cause: Cause
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRef:
    """An immutable checkpoint directory.

    Attributes:
        trial: The trial it belongs to.
        path: Relative to the store's root, with forward slashes.
        digest: sha256 over its digests file.
        serial: Grows with every checkpoint of the trial.
        step: The workload's step when it was written.
        size_bytes: Sum of the files' sizes.
    """

    trial: TrialKey
    path: str
    digest: str
    serial: int
    step: int
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A trial leased to this driver under an epoch.

    Attributes:
        trial: The trial.
        epoch: Of this attempt.
        resume: The checkpoint to continue from, the newest.
        older: Those before it, newest first, should that one be damaged.
    """

    trial: Trial
    epoch: int
    resume: CheckpointRef | None = None
    older: tuple[CheckpointRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Trials that share one process: fused seeds of a cell, short trainings, conditions on one checkpoint.

    Attributes:
        id: Unique in a submission.
        stage: All trials are of this stage.
        claims: In order. Trainings of one non-empty `Trial.group` are fused and have equal configs, others
            follow each other; evaluations have equal parents.
        parents: The checkpoints that an evaluation reads, in the order of `Trial.parents`.
        resources: The resource class.
        study: Name of the study, for dashboards.
        data: Directory of the data sets.
        checkpoint_interval_s: Least time between two checkpoints of a running training.
    """

    id: str
    stage: Stage
    claims: tuple[Claim, ...]
    parents: tuple[CheckpointRef, ...] = ()
    resources: Resources = field(default_factory=Resources)
    study: str = ""
    data: str = "."
    checkpoint_interval_s: float = 30.0

    @property
    def label(self) -> str:
        """What it works on, for dashboards and logs."""
        first = self.claims[0].trial.label
        return first if len(self.claims) == 1 else f"{first} (+{len(self.claims) - 1})"


# --- events: what a worker sends, and the driver commits --------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker began a trial."""

    trial: TrialKey
    epoch: int
    worker: Mapping[str, Any] = field(default_factory=dict)  # host, pid, lane, threads, devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A trial made progress: for the live view and the hang watch; its rows come with Finished."""

    trial: TrialKey
    epoch: int
    step: int
    progress: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint is complete on disk."""

    trial: TrialKey
    epoch: int
    checkpoint: CheckpointRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A trial has its result: `state` is SUCCEEDED or DIVERGED."""

    trial: TrialKey
    epoch: int
    state: State
    rows: tuple[ResultRow, ...]
    checkpoint: CheckpointRef | None = None
    duration_s: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)  # versions, host, threads, devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An attempt ended without a result: error, loss of its worker, interruption, cancellation."""

    trial: TrialKey
    epoch: int
    failure: Failure
    duration_s: float = 0.0


Event: TypeAlias = Started | Reported | Saved | Finished | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A change of a trial's state that the driver commits.

    Attributes:
        trial: The trial.
        epoch: The claim's epoch; refused when stale. None for a change without a claim (BLOCKED,
            back to PENDING when a parent is made again).
        state: The new state; PENDING gives the trial back for another attempt.
        failure: Why the attempt ended, if without a result.
        blocked_by: The parent at fault, for BLOCKED.
        checkpoint: The final checkpoint, if any.
        duration_s: Of the attempt; of trainings that are computed together each one's part.
        provenance: Versions, host, threads, devices, code digest, git commit.
    """

    trial: TrialKey
    epoch: int | None
    state: State
    failure: Failure | None = None
    blocked_by: TrialKey | None = None
    checkpoint: CheckpointRef | None = None
    duration_s: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a trial, kept for ever."""

    trial: TrialKey
    epoch: int
    started_at: float
    ended_at: float | None = None
    worker: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = ""  # a State or a Cause
    message: str = ""
    traceback: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def made_by(attempts: Sequence[Attempt]) -> Mapping[str, Any]:
    """Returns the provenance of the attempt that made a result, the last one that has any; else nothing."""
    return next((each.provenance for each in reversed(attempts) if each.provenance), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who drives: for leases and for people."""

    driver: str  # unique id
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to drive a study until it expires on the registry's clock."""

    study: str
    owner: Owner
    epoch: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One `orch submit`, as recorded.

    Attributes:
        id: "dfn_ensemble-3": study and number.
        study: The study's name.
        number: 1, 2, ... within the study.
        document: The merged study document.
        file: The study file's path as given.
        patches: `--set` values; seeds: `--seeds`; cells: `--cells` filters (which trials run, the
            plan is the whole study).
        code: Code digest; commit: git commit; dirty: whether the tree differed from it.
        created_at: Seconds since the epoch.
        arguments: Executor, slots and what else was asked for, so that `resume` repeats it.
    """

    id: str
    study: str
    number: int = 0
    document: Mapping[str, Any]
    file: str = ""
    patches: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    cells: tuple[str, ...] = ()
    code: str = ""
    commit: str = ""
    dirty: bool = False
    created_at: float = 0.0
    arguments: Mapping[str, Any] = field(default_factory=dict)
