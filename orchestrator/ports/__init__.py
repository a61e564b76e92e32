"""Seams: what the driver and the use cases ask of their adapters.

Each has one conformance suite in tests/contracts/, run over every adapter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.model.forecast import Past
from orchestrator.model.fusing import Verdict
from orchestrator.model.measure import Measures
from orchestrator.model.mirror import MirrorRun, OutboxItem
from orchestrator.model.plan import Assignment, Plan, Resources, State, Trial, TrialKey, TrialStatus
from orchestrator.model.result import PartRef, Snapshot
from orchestrator.model.run import (
    Attempt,
    Bundle,
    CheckpointRef,
    Claim,
    Event,
    Lease,
    Outcome,
    Owner,
    Saved,
    Started,
    Submission,
)
from orchestrator.model.watch import Ended, Pulse
from orchestrator.ports.launcher import Launcher as Launcher
from orchestrator.ports.notifier import Notifier as Notifier
from orchestrator.ports.search import Searcher as Searcher
from orchestrator.ports.stores import CheckpointStore as CheckpointStore
from orchestrator.ports.stores import LogStore as LogStore
from orchestrator.ports.stores import ResultStore as ResultStore


class Clock(Protocol):
    """Time, so that tests can move it."""

    def time(self) -> float:
        """Returns seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Returns seconds that never go back."""
        ...


# --- execution --------------------------------------------------------------------------------------


class Work(Protocol):
    """What an executor asks while it runs; called from the thread that iterates `Executor.run`."""

    def demand(self) -> Mapping[Resources, int]:
        """Returns the number of bundles that are ready now, by resource class."""
        ...

    def unfinished(self) -> Mapping[Resources, int]:
        """Returns the number of trials that are not yet final, by resource class.

        Running ones and those that wait for parents are counted; a class that is missing has no
        more work in this submission.
        """
        ...

    def next_bundle(self, resources: Resources) -> Bundle | None:
        """Claims and returns the next ready bundle of a class, evaluations first; None for none now."""
        ...

    def cancelled(self) -> Collection[TrialKey]:
        """Returns running trials that are to be ended with cause CANCELLED."""
        ...

    def stopping(self) -> bool:
        """Returns whether running trials are to save a checkpoint and end with cause INTERRUPTED.

        From then on `next_bundle` returns None.
        """
        ...


class Executor(Protocol):
    """Runs bundles; one call a submission."""

    def run(self, work: Work) -> Iterator[Sequence[Event]]:
        """Yields what happened, as batches of all events that wait, until no work is left.

        The caller commits a batch before it asks for the next, so that what a batch made ready is
        seen by `next_bundle`. An empty batch comes at least once a second. Every claimed trial ends
        in exactly one Finished or Failed event; a worker that died ends its unfinished trials with
        cause LOST. Closing the iterator ends all workers.
        """
        ...


# --- registry ---------------------------------------------------------------------------------------


class Registry(Protocol):
    """States, leases, recorded plans and the list of parts: the only truth about state.

    Each method is one transaction.
    """

    def record(
        self,
        submission: Submission,
        plan: Plan,
        *,
        rerun: Collection[TrialKey] = (),
        wanted: Collection[TrialKey] | None = None,
    ) -> Submission:
        """Records a plan, all of it or nothing; returns the submission with its number and id.

        New trials are inserted as PENDING; recorded ones keep state and result, take the plan's
        resources, group and order, and go back to PENDING when named by `rerun`, or when `wanted`
        and FAILED, BLOCKED or CANCELLED. The study's assignments become the plan's.

        Args:
            submission: What was asked for.
            plan: Its plan.
            rerun: Trials to compute again whatever their state, but for those that run; from the
                start: their checkpoints are forgotten.
            wanted: Trials that the submission is to run; None for the plan's.
        """
        ...

    def extend(
        self, lease: Lease, trials: Mapping[TrialKey, Trial], assignments: Sequence[Assignment]
    ) -> None:
        """Adds trials and planned observations to a study's recorded plan; nothing of it changes otherwise.

        Trials that are recorded already are treated as by `record`, all of them being wanted. Repeating
        a call changes nothing.

        Raises:
            LeaseLostError: The lease was taken over; nothing is recorded.
        """
        ...

    def decide(self, lease: Lease, configs: Mapping[TrialKey, Mapping[str, Any]]) -> None:
        """Records the configs that searches have chosen for trainings.

        Raises:
            LeaseLostError: The lease was taken over; nothing is recorded.
        """
        ...

    def regroup(self, lease: Lease, groups: Mapping[TrialKey, str]) -> None:
        """Records which trainings are fused, once that is known: training -> name of its group, or "".

        Raises:
            LeaseLostError: The lease was taken over; nothing is recorded.
        """
        ...

    def verdicts(self) -> Sequence[Verdict]:
        """Returns what workers found on training seeds as one network, the newest last."""
        ...

    def candidates(self, searches: Collection[TrialKey]) -> Mapping[TrialKey, Trial]:
        """Returns the recorded trainings of searches' candidates, by their numbers."""
        ...

    def studies(self) -> Sequence[Submission]:
        """Returns the latest submission of every study, by name."""
        ...

    def submissions(self, study: str) -> Sequence[Submission]:
        """Returns all submissions of a study, oldest first."""
        ...

    def trials(self, study: str) -> Mapping[TrialKey, Trial]:
        """Returns the recorded trials that the study's assignments need (parents too), in run order."""
        ...

    def keys(self, study: str) -> Collection[TrialKey]:
        """Returns the keys of the trials that the study's assignments need (parents too)."""
        ...

    def assignments(self, study: str) -> Sequence[Assignment]:
        """Returns the study's planned observations."""
        ...

    def assigned(self, keys: Collection[TrialKey]) -> Sequence[Assignment]:
        """Returns the assignments of any study that name one of these trials."""
        ...

    def statuses(self, keys: Collection[TrialKey] | None = None) -> Mapping[TrialKey, TrialStatus]:
        """Returns the status of the trials that exist among `keys`, or of all."""
        ...

    def counts(self, study: str | None = None) -> Mapping[str, Mapping[tuple[str, State], int]]:
        """Returns for a study, or each, how many of its trials (parents too) are of which stage and state."""
        ...

    def measures(self) -> Measures:
        """Returns how every study stands, and how much the store holds, for monitoring."""
        ...

    def snapshot(self, study: str) -> Snapshot:
        """Returns what a study's tables are made from, as it was at one moment."""
        ...

    def attempts(self, key: TrialKey) -> Sequence[Attempt]:
        """Returns every try at a trial, oldest first."""
        ...

    def past(self, limit: int = 20_000) -> Sequence[Past]:
        """Returns what trials with a result took, of any study, the newest first and at most so many."""
        ...

    def spent(self, study: str) -> tuple[float, int]:
        """Returns what a study has cost: device seconds, and bytes of its trials' parts and checkpoints.

        Seconds are of all ended attempts under the study's own leases, by the share of GPUs, or of CPUs
        where a trial holds no GPU.
        """
        ...

    def trees(self) -> frozenset[str]:
        """Returns the names of the archives of code that trials were last tried in."""
        ...

    def find(self, prefix: str) -> Sequence[TrialKey]:
        """Returns the trial keys that begin with `prefix`, ten at most."""
        ...

    def described(self, keys: Collection[TrialKey]) -> Mapping[TrialKey, Trial]:
        """Returns the recorded trials of these keys, of any study or none, in run order."""
        ...

    def pulse(self, study: str | None = None) -> Pulse:
        """Returns a study, or the store, at this moment in a few numbers."""
        ...

    def ended(self, study: str, limit: int = 100) -> Sequence[Ended]:
        """Returns the attempts that made the newest results of a study, newest first and at most so many."""
        ...

    # leases and claims

    def acquire(self, study: str, owner: Owner, duration_s: float) -> Lease:
        """Takes the right to drive a study.

        RUNNING trials of the study whose driver's lease has expired become PENDING again; their
        attempts end with cause "lost".

        Raises:
            HeldError: A live driver has it; says host, pid and age.
        """
        ...

    def renew(self, lease: Lease) -> None:
        """Prolongs the lease, one statement.

        Raises:
            LeaseLostError: It expired and somebody took it.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Gives the lease back; RUNNING trials of this driver become PENDING."""
        ...

    def driver(self, study: str) -> Owner | None:
        """Returns the live driver of a study."""
        ...

    def claim(self, lease: Lease, keys: Sequence[TrialKey]) -> Sequence[Claim]:
        """Moves PENDING trials to RUNNING under a new epoch; those taken elsewhere are left out."""
        ...

    def commit(
        self,
        lease: Lease,
        *,
        started: Sequence[Started] = (),
        saved: Sequence[Saved] = (),
        outcomes: Sequence[Outcome] = (),
        part: PartRef | None = None,
        mirror: Sequence[tuple[str, str, str]] = (),
    ) -> frozenset[TrialKey]:
        """Records attempts, checkpoints, states, a part in one transaction; returns whose outcome counted.

        Args:
            lease: The driver's lease.
            started: Workers that began.
            saved: Checkpoints that are complete; the newest two of a trial stay recorded.
            outcomes: New states. Those of a stale epoch change nothing.
            part: Holds the rows of the outcomes that have a result; it is listed even when some of
                them are refused (readers go by trial: see `results`).
            mirror: (study, kind, key) for the outbox; an item that waits already is not doubled.

        Raises:
            LeaseLostError: The lease was taken over; nothing is recorded.
        """
        ...

    def request_cancel(self, keys: Collection[TrialKey]) -> int:
        """Cancels trials, RUNNING ones by asking their driver; returns how many were not final."""
        ...

    def requeue(self, keys: Collection[TrialKey], states: Collection[State]) -> None:
        """Lets trials that are in one of these states, and BLOCKED ones, wait for another try."""
        ...

    def cancel_requests(self, lease: Lease) -> frozenset[TrialKey]:
        """Returns RUNNING trials of this driver that somebody asked to cancel."""
        ...

    # results and checkpoints

    def parts(self, keys: Collection[TrialKey] | None = None) -> Sequence[PartRef]:
        """Returns the parts that hold the results of these trials, or all parts."""
        ...

    def results(self, keys: Collection[TrialKey]) -> Mapping[TrialKey, str]:
        """Returns for each trial with a result the path of the part that holds its valid rows."""
        ...

    def replace_parts(self, old: Sequence[PartRef], new: PartRef) -> None:
        """Lists `new` in place of `old` (compaction); all or nothing."""
        ...

    def drop_parts(self, parts: Sequence[PartRef]) -> Sequence[TrialKey]:
        """Forgets parts that are damaged, and the results they held; returns the trials, which wait again."""
        ...

    def all_checkpoints(self) -> Sequence[CheckpointRef]:
        """Returns every recorded checkpoint, by trial, a trial's newest first."""
        ...

    def damage(self) -> Sequence[str]:
        """Returns what is wrong with the registry's own storage, in words; nothing when it is whole."""
        ...

    def checkpoint(self, key: TrialKey) -> CheckpointRef | None:
        """Returns the newest recorded checkpoint of a trial."""
        ...

    def checkpoints(self, key: TrialKey) -> Sequence[CheckpointRef]:
        """Returns the recorded checkpoints of a trial, newest first."""
        ...

    def drop_checkpoint(self, checkpoint: CheckpointRef) -> None:
        """Forgets a checkpoint, before it is deleted or because it is damaged."""
        ...

    # the mirror's outbox

    def outbox(self, limit: int = 100) -> Sequence[OutboxItem]:
        """Returns waiting items, oldest first."""
        ...

    def mirrored(self, items: Sequence[OutboxItem], run_ids: Mapping[tuple[str, str], str]) -> None:
        """Removes applied items and stores the mirror's run ids by (study, key)."""
        ...

    def mirror_ids(self, study: str) -> Mapping[str, str]:
        """Returns key -> run id of what the mirror is known to show of a study."""
        ...

    def close(self) -> None:
        """Closes connections."""
        ...


# --- mirror -----------------------------------------------------------------------------------------


class Tracker(Protocol):
    """The view that users know: a mirror, never read but to find our own runs."""

    def describe(self, study: str, *, note: str, tags: Mapping[str, str]) -> None:
        """Creates or updates the study's experiment."""
        ...

    def apply(self, run: MirrorRun, *, parent_id: str = "") -> str:
        """Creates or completes a run so that it shows `run`; idempotent.

        Returns:
            The run's id.
        """
        ...

    def close(self) -> None:
        """Flushes and closes."""
        ...
