"""The driver: claims bundles, hands them to an executor, commits what comes back."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.driver.progress import Meter, Progress, Running, count
from orchestrator.driver.retry import LIMITS, next_state
from orchestrator.driver.schedule import Schedule
from orchestrator.model.plan import Resources, State, Trial, TrialKey
from orchestrator.model.result import ResultRow
from orchestrator.model.run import (
    Bundle,
    Cause,
    CheckpointRef,
    Event,
    Failed,
    Failure,
    Finished,
    Lease,
    Outcome,
    Reported,
    Saved,
    Started,
)
from orchestrator.ports import CheckpointStore, Clock, Executor, Registry, ResultStore

POLL_S = 1.0  # how often cancel requests and trials that other drivers run are looked at
SHOW_S = 0.2  # least time between two snapshots
SHOW_SHARE = 20  # each walks over all trials: one part in so many of the time goes there at most
KEPT_CHECKPOINTS = 2
# Trainings that take no longer than SHORT_S travel several to a bundle, of BUNDLE_S at most: claiming and
# ordering each by itself would take longer than training it.
SHORT_S = 0.1
BUNDLE_S = 0.5
BUNDLE_LIMIT = 16

MirrorItems = Callable[[Sequence[Outcome]], Sequence[tuple[str, str, str]]]


def _nothing(outcomes: Sequence[Outcome]) -> Sequence[tuple[str, str, str]]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a drive ended.

    Attributes:
        counts: State -> number of wanted trials.
        trained: Trainings that this drive finished; evaluated: evaluations likewise.
        failures: Trial -> message, of the wanted trials that are FAILED.
        interrupted: Whether it was asked to stop before the end.
        halted: Why claiming stopped by itself (a full disk), or "".
    """

    counts: Mapping[State, int]
    trained: int
    evaluated: int
    failures: Mapping[TrialKey, str]
    interrupted: bool
    halted: str = ""


@dataclass(slots=True, kw_only=True)
class Drive:
    """One submission being run; an executor's `Work`.

    Attributes:
        registry: The truth about states.
        results: Where rows go.
        checkpoints: Used here only to delete what is superseded.
        clock: Time.
        lease: The right to drive the study.
        trials: Every trial of the recorded plan.
        schedule: What may run next.
        study: The study's name.
        cells: Cell -> its trials, for the count of finished cells.
        data: Directory of the data sets.
        checkpoint_interval_s: Least time between two checkpoints of a running training.
        limits: Attempts by cause.
        mirror: The outbox items that accepted outcomes ask for.
        stamp: Added to every result's provenance (code digest, git commit, submission).
        on_progress: Called a few times a second.
    """

    registry: Registry
    results: ResultStore
    checkpoints: CheckpointStore
    clock: Clock
    lease: Lease
    trials: Mapping[TrialKey, Trial]
    schedule: Schedule
    study: str
    data: str
    cells: Mapping[str, Sequence[TrialKey]] = field(default_factory=dict)
    checkpoint_interval_s: float = 30.0
    limits: dict[Cause, int] = field(default_factory=lambda: dict(LIMITS))
    mirror: MirrorItems = _nothing
    stamp: Mapping[str, str] = field(default_factory=dict)
    on_progress: Callable[[Progress], None] = lambda progress: None

    _meter: Meter = field(default_factory=Meter)
    _running: dict[TrialKey, int] = field(default_factory=dict)  # trial -> epoch
    _bundles: dict[TrialKey, str] = field(default_factory=dict)  # running trial -> its bundle
    _needed: frozenset[TrialKey] = frozenset()  # trainings whose checkpoint somebody reads
    _cancelled: frozenset[TrialKey] = frozenset()
    _stopping: bool = False
    _halted: str = ""
    _cached: int = 0
    _failures: dict[TrialKey, str] = field(default_factory=dict)
    _kept: dict[TrialKey, list[CheckpointRef]] = field(default_factory=lambda: defaultdict(list))
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _renewed: float = 0.0
    _polled: float = 0.0
    _began: float = 0.0
    _show_at: float = 0.0
    _committed: bool = False
    _slots: int = 1

    # --- Work: what the executor asks -----------------------------------------------------------------

    def demand(self) -> Mapping[Resources, int]:
        """Returns the number of bundles that are ready now, by class."""
        return {} if self._stopping else self.schedule.demand()

    def unfinished(self) -> Mapping[Resources, int]:
        """Returns the number of trials that are not yet final, by class."""
        if not self._stopping:
            return self.schedule.unfinished()
        left: dict[Resources, int] = defaultdict(int)
        for key in self._running:
            left[self.trials[key].resources] += 1
        return left

    def next_bundle(self, resources: Resources) -> Bundle | None:
        """Claims and returns the next ready bundle of a class."""
        while not self._stopping:
            group = self.schedule.take(resources)
            if not group:
                return None
            group += self._more_like(group, resources)
            claims = self.registry.claim(self.lease, [trial.key for trial in group])
            taken = {claim.trial.key for claim in claims}
            self.schedule.refused(trial.key for trial in group if trial.key not in taken)
            if not claims:
                continue
            number = f"{self.lease.owner.driver}-{next(self._numbers)}"
            for claim in claims:
                self._running[claim.trial.key] = claim.epoch
                self._bundles[claim.trial.key] = number
            self._slots = max(self._slots, len(set(self._bundles.values())))
            first = group[0]
            return Bundle(
                id=number,
                stage=first.stage,
                claims=tuple(claims),
                parents=self._parents(first),
                resources=resources,
                study=self.study,
                data=self.data,
                checkpoint_interval_s=self.checkpoint_interval_s,
            )
        return None

    def _more_like(self, group: Sequence[Trial], resources: Resources) -> list[Trial]:
        """Takes further trainings along when they are short and enough is left for the other slots."""
        recent_s = self._meter.recent_s("train")
        if group[0].stage != "train" or recent_s is None or recent_s > SHORT_S:
            return []
        fair = self.schedule.demand().get(resources, 0) // (2 * self._slots)
        more: list[Trial] = []
        for _ in range(min(fair, int(BUNDLE_S / max(recent_s, 1e-3)), BUNDLE_LIMIT)):
            more += self.schedule.take(resources)
        return more

    def cancelled(self) -> Collection[TrialKey]:
        """Returns running trials that somebody asked to cancel."""
        return self._cancelled

    def stopping(self) -> bool:
        """Returns whether running trials are to save and end."""
        return self._stopping

    # --- the loop ---------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Asks running trials to save and end; safe in a signal handler."""
        self._stopping = True

    def run(self, executor: Executor, *, after_start: Callable[[], None] = lambda: None) -> Summary:
        """Runs every wanted trial that has no result, and returns how it ended.

        Args:
            executor: Where trials run.
            after_start: Called once the executor is up.

        Raises:
            LeaseLostError: Another driver took the study over.
        """
        self._began = self._renewed = self._polled = self.clock.monotonic()
        self._needed = frozenset(parent for trial in self.trials.values() for parent in trial.parents)
        self._cached = sum(self.schedule.state(key).has_result for key in self.schedule.wanted)
        self._block()
        if not self.schedule.unfinished():
            return self._summary()
        self.on_progress(self._progress(committed=False))
        batches = executor.run(self)
        try:
            for number, batch in enumerate(batches):
                if number == 0:
                    after_start()
                self._take_in(batch)
                self._housekeeping()
                self._show(batch)
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
        return self._summary()

    def _take_in(self, batch: Sequence[Event]) -> None:
        started: list[Started] = []
        saved: list[Saved] = []
        outcomes: list[Outcome] = []
        rows: list[ResultRow] = []
        for event in batch:
            if self._running.get(event.trial) != event.epoch:
                continue  # late news of an attempt that is over
            match event:
                case Started():
                    started.append(event)
                    self._meter.progress[event.trial] = 0.0
                case Reported():
                    self._meter.progress[event.trial] = event.progress
                case Saved():
                    saved.append(event)
                case Finished():
                    outcomes.append(self._result(event))
                    rows.extend(event.rows if outcomes[-1].state.has_result else ())
                case Failed():
                    outcomes.append(self._failure(event))
        if not (started or saved or outcomes):
            return
        part = self.results.write(rows) if rows else None
        accepted = self.registry.commit(
            self.lease,
            started=started,
            saved=saved,
            outcomes=outcomes,
            part=part,
            mirror=self.mirror(outcomes),
        )
        for outcome in outcomes:
            self._running.pop(outcome.trial, None)
            self._bundles.pop(outcome.trial, None)
            trial = self.trials[outcome.trial]
            if outcome.trial not in accepted:
                self._meter.ended(trial)
                self.schedule.refused([outcome.trial])  # somebody else's now: look at it later
                continue
            if outcome.state.has_result:
                self._meter.finished(trial, outcome.duration_s)
            else:
                self._meter.ended(trial)
            if outcome.state is State.FAILED and outcome.failure:
                self._failures[outcome.trial] = outcome.failure.message
            self.schedule.update(outcome.trial, outcome.state)
        self._retire([event.checkpoint for event in saved])
        self._block()

    def _result(self, event: Finished) -> Outcome:
        if event.checkpoint is None and event.trial in self._needed and event.state is State.SUCCEEDED:
            message = "its last report offered no checkpoint (`save`), which evaluations of it need"
            failure = Failure(cause=Cause.ERROR, message=message)
            return self._failure(Failed(trial=event.trial, epoch=event.epoch, failure=failure))
        return Outcome(
            trial=event.trial,
            epoch=event.epoch,
            state=event.state,
            checkpoint=event.checkpoint,
            duration_s=event.duration_s,
            provenance={**event.provenance, **self.stamp},
        )

    def _failure(self, event: Failed) -> Outcome:
        failure = event.failure
        earlier = [a for a in self.registry.attempts(event.trial) if a.epoch != event.epoch]
        state = next_state(failure, earlier, limits=self.limits)
        if failure.cause is Cause.DISK:
            # More of the same would fail too, and fill the disk further.
            self._halted = failure.message
            self._stopping = True
            state = State.PENDING
        return Outcome(
            trial=event.trial,
            epoch=event.epoch,
            state=state,
            failure=failure,
            duration_s=event.duration_s,
            provenance=dict(self.stamp),
        )

    def _block(self) -> None:
        """Commits what can no longer run because of a parent."""
        while blocked := self.schedule.newly_blocked():
            outcomes = [
                Outcome(trial=each.trial, epoch=None, state=State.BLOCKED, blocked_by=each.by)
                for each in blocked
            ]
            self.registry.commit(self.lease, outcomes=outcomes, mirror=self.mirror(outcomes))

    def _parents(self, trial: Trial) -> tuple[CheckpointRef, ...]:
        found = []
        for parent in trial.parents:
            checkpoint = self.registry.checkpoint(parent)
            assert checkpoint is not None, (
                f"{trial.label}: its parent {parent} succeeded without a checkpoint"
            )
            found.append(checkpoint)
        return tuple(found)

    def _retire(self, saved: Iterable[CheckpointRef]) -> None:
        """Deletes checkpoints that newer recorded ones have superseded."""
        for checkpoint in saved:
            kept = self._kept[checkpoint.trial]
            kept.append(checkpoint)
            while len(kept) > KEPT_CHECKPOINTS:
                self.checkpoints.delete(kept.pop(0))

    def _housekeeping(self) -> None:
        now = self.clock.monotonic()
        if now - self._renewed >= self.lease.duration_s / 4:
            self.registry.renew(self.lease)
            self._renewed = now
        if now - self._polled < POLL_S:
            return
        self._polled = now
        self._cancelled = self.registry.cancel_requests(self.lease)
        if self.schedule.elsewhere:
            for key, status in self.registry.statuses(set(self.schedule.elsewhere)).items():
                if status.state is not State.RUNNING:
                    self.schedule.update(key, status.state)
            self._block()

    def _show(self, batch: Sequence[Event]) -> None:
        self._committed = self._committed or any(isinstance(event, Finished) for event in batch)
        now = self.clock.monotonic()
        if now >= self._show_at:
            self.on_progress(self._progress(committed=self._committed))
            self._committed = False
            after = self.clock.monotonic()
            self._show_at = after + max(SHOW_S, SHOW_SHARE * (after - now))

    def _progress(self, *, committed: bool) -> Progress:
        wanted = self.schedule.wanted
        states = {key: state for key, state in self.schedule.states().items() if key in wanted}
        return Progress(
            counts=count(states),
            cells=len(self.cells),
            cells_done=sum(
                all(states[key].final for key in keys if key in states) for keys in self.cells.values()
            ),
            cached=self._cached,
            trained=self._meter.trained,
            evaluated=self._meter.evaluated,
            running=tuple(
                Running(label=self.trials[key].label, progress=self._meter.progress[key])
                for key in self._running
                if key in self._meter.progress
            ),
            elapsed_s=self.clock.monotonic() - self._began,
            eta_s=self._meter.eta_s({key: self.trials[key] for key in states}, states, self._slots),
            committed=committed,
        )

    def _summary(self) -> Summary:
        wanted = self.schedule.wanted
        states = {key: state for key, state in self.schedule.states().items() if key in wanted}
        return Summary(
            counts=count(states),
            trained=self._meter.trained,
            evaluated=self._meter.evaluated,
            failures=dict(self._failures),
            interrupted=self._stopping and not self._halted,
            halted=self._halted,
        )
