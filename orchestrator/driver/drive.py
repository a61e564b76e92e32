"""The driver: claims bundles, hands them to an executor, commits what comes back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from orchestrator.driver.breaker import Breaker
from orchestrator.driver.claiming import Claims
from orchestrator.driver.outcomes import Outcomes
from orchestrator.driver.progress import Meter, Progress, Summary, count, snapshot
from orchestrator.driver.purse import Purse
from orchestrator.driver.retry import LIMITS
from orchestrator.driver.schedule import Schedule
from orchestrator.driver.searching import Searches
from orchestrator.driver.superseded import Superseded
from orchestrator.errors import OrchError, TargetError
from orchestrator.model.plan import Resources, State, Trial, TrialKey
from orchestrator.model.result import PartRef, ResultRow
from orchestrator.model.run import (
    Bundle,
    Cause,
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

BACKUP_S = 3600.0
POLL_S = 1.0  # how often cancel requests and trials that other drivers run are looked at
SHOW_S = 0.2  # least time between two snapshots
SHOW_SHARE = 20  # each walks over all trials: one part in so many of the time goes there at most
LOOK_SHARE = 20  # likewise for whether more seeds are wanted, while there is work without them
_logger = logging.getLogger(__name__)

MirrorItems = Callable[[Sequence[Outcome]], Sequence[tuple[str, str, str]]]


def _nothing(outcomes: Sequence[Outcome]) -> Sequence[tuple[str, str, str]]:
    return ()


@dataclass(slots=True, kw_only=True)
class Drive:
    """One submission being run; an executor's `Work`.

    Attributes:
        registry: The truth about states.
        results: Where rows go.
        checkpoints: Used here only to delete what is superseded.
        clock: Time.
        lease: The right to drive the study.
        trials: Every trial of the recorded plan, and the candidates of searches as they come.
        schedule: What may run next.
        study: The study's name.
        cells: Cell -> its trials, for the count of finished cells.
        data: Directory of the data sets.
        checkpoint_interval_s: Least time between two checkpoints of a running training.
        limits: Attempts by cause.
        mirror: The outbox items that accepted outcomes ask for.
        more: Asked once nothing is ready, and now and then before, whether results ask for trials that
            were not wanted so far; gives their states, recorded by then.
        stamp: Added to every result's provenance (code digest, git commit, submission).
        on_progress: Called a few times a second.
        purse: The study's budget, None without one.
        searches: What decides hyperparameters, None without any.
        back_up: Called once an hour; what it raises is noted and costs nothing else.
        meter: What trials take.
    """

    registry: Registry
    results: ResultStore
    checkpoints: CheckpointStore
    clock: Clock
    lease: Lease
    trials: MutableMapping[TrialKey, Trial]
    schedule: Schedule
    study: str
    data: str
    cells: Mapping[str, Sequence[TrialKey]] = field(default_factory=dict)
    checkpoint_interval_s: float = 30.0
    limits: dict[Cause, int] = field(default_factory=lambda: dict(LIMITS))
    mirror: MirrorItems = _nothing
    more: Callable[[], Mapping[TrialKey, State]] | None = None
    stamp: Mapping[str, str] = field(default_factory=dict)
    on_progress: Callable[[Progress], None] = lambda progress: None
    back_up: Callable[[], None] = lambda: None
    purse: Purse | None = None
    searches: Searches | None = None
    meter: Meter = field(default_factory=Meter)

    _claims: Claims = field(init=False)
    _outcomes: Outcomes = field(init=False)
    _breaker: Breaker = field(init=False)
    _cancelled: frozenset[TrialKey] = frozenset()
    _stopping: bool = False
    _halted: str = ""
    _cached: int = 0
    _superseded: Superseded = field(init=False)
    _renewed: float = 0.0
    _polled: float = 0.0
    _offered: float = 0.0
    _backed_up: float = 0.0
    _began: float = 0.0
    _show_at: float = 0.0
    _committed: bool = False
    _asked_for_more: bool = True  # since the last outcome
    _ask_at: float = 0.0

    def __post_init__(self) -> None:
        """Puts the parts together."""
        self._claims = Claims(
            registry=self.registry,
            schedule=self.schedule,
            lease=self.lease,
            meter=self.meter,
            study=self.study,
            data=self.data,
            checkpoint_interval_s=self.checkpoint_interval_s,
        )
        if self.searches is not None:
            self._claims.decided = self.searches.decided
        self._superseded = Superseded(self.checkpoints)
        self._breaker = Breaker(self.trials)
        for key, state in self.schedule.states().items():
            if state.has_result:
                self._breaker.worked(key)
        self._outcomes = Outcomes(
            registry=self.registry,
            needed=frozenset(parent for trial in self.trials.values() for parent in trial.parents),
            limits=self.limits,
            stamp=self.stamp,
        )

    # --- Work: what the executor asks -----------------------------------------------------------------

    def demand(self) -> Mapping[Resources, int]:
        """Returns the number of bundles that are ready now, by class."""
        return {} if self._closed() else self.schedule.demand()

    def unfinished(self) -> Mapping[Resources, int]:
        """Returns the number of trials that are not yet final, by class."""
        return self._claims.by_class(self.trials) if self._closed() else self.schedule.unfinished()

    def next_bundle(self, resources: Resources) -> Bundle | None:
        """Claims and returns the next ready bundle of a class."""
        return None if self._closed() else self._claims.next_bundle(resources)

    def cancelled(self) -> Collection[TrialKey]:
        """Returns running trials that somebody asked to cancel."""
        return self._cancelled if self.searches is None else self._cancelled.union(self.searches.ending())

    def stopping(self) -> bool:
        """Returns whether running trials are to save and end."""
        return self._stopping

    def _closed(self) -> bool:
        """Returns whether nothing more is claimed."""
        return self._stopping or (
            self.purse is not None and self.purse.closed(self._claims.running.keys(), self.trials, self.meter)
        )

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
            TargetError: The disk of the store is full or failing, or its server cannot be reached.
        """
        try:
            self._run(executor, after_start)
        except OSError as error:
            raise TargetError(
                f"the store cannot be written: {error}. Nothing that was recorded is lost: free space or "
                f"mend the disk, then `orch resume {self.study}`"
            ) from error
        return self.summary()

    def _run(self, executor: Executor, after_start: Callable[[], None]) -> None:
        self._began = self.clock.monotonic()
        self._renewed = self._polled = self._offered = self._backed_up = self._began
        self._cached = sum(self.schedule.state(key).has_result for key in self.schedule.wanted)
        self._block()
        if not self.schedule.unfinished():
            return
        self.on_progress(self._progress(committed=False))
        batches = executor.run(self)
        try:
            for number, batch in enumerate(batches):
                if number == 0:
                    after_start()
                self._take_in(batch)
                self._search()
                self._grow()
                self._housekeeping()
                self._show(batch)
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()

    def _take_in(self, batch: Sequence[Event]) -> None:
        started: list[Started] = []
        saved: list[Saved] = []
        outcomes: list[Outcome] = []
        rows: list[ResultRow] = []
        for event in batch:
            if self._claims.running.get(event.trial) != event.epoch:
                continue  # late news of an attempt that is over
            if self.searches is not None and event.trial not in self._cancelled:
                event = self.searches.seen(event)
            self.meter.heard += 1
            match event:
                case Started():
                    started.append(event)
                    self._claims.tried(event)
                    self.meter.progress[event.trial] = 0.0
                    if self.purse is not None:
                        self.purse.started(event.trial)
                case Reported():
                    self.meter.progress[event.trial] = event.progress
                case Saved():
                    saved.append(event)
                case Finished() | Failed():
                    outcomes.append(self._outcomes.of(event, since=self._claims.since[event.trial]))
                    if isinstance(event, Failed) and event.failure.cause is Cause.DISK:
                        # More of the same would fail too, and fill the disk further.
                        self._halted, self._stopping = event.failure.message, True
                    elif isinstance(event, Finished) and outcomes[-1].state.has_result:
                        rows.extend(event.rows)
        if not (started or saved or outcomes):
            return
        part = self._write(rows) if rows else None
        accepted = self.registry.commit(
            self.lease,
            started=started,
            saved=saved,
            outcomes=outcomes,
            part=part,
            mirror=self.mirror(outcomes),
        )
        for outcome in outcomes:
            self._claims.over(outcome.trial)
            trial = self.trials[outcome.trial]
            if self.purse is not None:
                self.purse.ended(trial, outcome.duration_s)
            if outcome.trial not in accepted:
                self.meter.ended(trial)
                self.schedule.refused([outcome.trial])  # somebody else's now: look at it later
                continue
            if outcome.state.has_result:
                self.meter.finished(trial, outcome.duration_s)
                self._breaker.worked(outcome.trial)
            else:
                self.meter.ended(trial)
            self.schedule.update(outcome.trial, outcome.state)
            if outcome.state is State.FAILED and outcome.failure is not None:
                alike = self._breaker.failed(outcome.trial, outcome.failure)
                why = self._breaker.why(outcome.trial, outcome.failure) if alike else ""
                self.schedule.hold(alike, by=outcome.trial, message=why)
        self._claims.forget_damaged(batch, self.trials, self.checkpoints)
        self._asked_for_more = self._asked_for_more and not outcomes
        self._superseded.saved(event.checkpoint for event in saved)
        self._superseded.over(outcome.trial for outcome in outcomes if outcome.state.final)
        self._block()

    def _search(self) -> None:
        """Goes on with searches; what they ask for is ready at once."""
        if self.searches is not None and not self._closed():
            self.searches.cancel(self._cancelled)
            self.searches.advance()
            self._block()

    def _grow(self) -> None:
        """Wants further trials, where results ask for them; looking takes time, so not at each outcome."""
        now = self.clock.monotonic()
        if self.more is None or self._asked_for_more or self._closed():
            return
        if self.schedule.demand() and now < self._ask_at:
            return
        self.schedule.want(self.more())
        self._asked_for_more = True
        self._block()
        after = self.clock.monotonic()
        self._ask_at = after + LOOK_SHARE * (after - now)

    def _write(self, rows: Sequence[ResultRow]) -> PartRef:
        try:
            return self.results.write(rows)
        except TargetError as error:
            raise TargetError(
                f"{error}. Nothing that was recorded is lost: `orch resume {self.study}` goes on"
            ) from error

    def _block(self) -> None:
        """Commits what can no longer run because of a parent."""
        while blocked := self.schedule.newly_blocked():
            outcomes = [
                Outcome(
                    trial=each.trial,
                    epoch=None,
                    state=State.BLOCKED,
                    blocked_by=each.by,
                    failure=Failure(cause=Cause.ERROR, message=each.message) if each.message else None,
                )
                for each in blocked
            ]
            accepted = self.registry.commit(self.lease, outcomes=outcomes, mirror=self.mirror(outcomes))
            if refused := {each.trial for each in blocked} - accepted:  # cancelled meanwhile, say
                for key, status in self.registry.statuses(refused).items():
                    self.schedule.update(key, status.state)
                    if status.state is State.RUNNING:
                        self.schedule.refused([key])

    def _housekeeping(self) -> None:
        now = self.clock.monotonic()
        if now - self._renewed >= self.lease.duration_s / 4:
            self.registry.renew(self.lease)
            self._renewed = now
        if now - self._polled < POLL_S:
            return
        self._polled = now
        if now - self._backed_up >= BACKUP_S:
            self._backed_up = now
            try:
                self.back_up()
            except (OrchError, OSError) as error:
                _logger.warning("the registry could not be copied: %s", error)
        self._cancelled = self.registry.cancel_requests(self.lease)
        if self.schedule.elsewhere:
            for key, status in self.registry.statuses(set(self.schedule.elsewhere)).items():
                if status.state is not State.RUNNING:
                    self.schedule.update(key, status.state)
            self._block()
            if now - self._offered >= self.lease.duration_s / 2:
                # Their driver may be gone: a claim takes over what it left, and is refused otherwise.
                self._offered = now
                for key in set(self.schedule.elsewhere):
                    self.schedule.update(key, State.PENDING)

    def _show(self, batch: Sequence[Event]) -> None:
        self._committed = self._committed or any(isinstance(event, Finished) for event in batch)
        now = self.clock.monotonic()
        if now >= self._show_at:
            self.on_progress(self._progress(committed=self._committed))
            self._committed = False
            after = self.clock.monotonic()
            self._show_at = after + max(SHOW_S, SHOW_SHARE * (after - now))

    def _progress(self, *, committed: bool) -> Progress:
        return snapshot(
            self._states(),
            self.trials,
            self.cells,
            self._claims.running,
            self.meter,
            cached=self._cached,
            slots=self._claims.slots,
            elapsed_s=self.clock.monotonic() - self._began,
            committed=committed,
        )

    def _states(self) -> Mapping[TrialKey, State]:
        wanted = self.schedule.wanted
        found = {key: state for key, state in self.schedule.states().items() if key in wanted}
        return found if self.searches is None else self.searches.without_failed(found)

    def summary(self) -> Summary:
        """Returns how far it came."""
        states = self._states()
        failed = [key for key, state in states.items() if state is State.FAILED]
        statuses = self.registry.statuses(failed) if failed else {}
        return Summary(
            counts=count(states),
            trained=self.meter.trained,
            evaluated=self.meter.evaluated,
            tuned=self.meter.tuned,
            failures={key: statuses[key].message for key in failed if key in statuses},
            interrupted=self._stopping and not self._halted,
            halted=self._halted,
            spent="" if self.purse is None else self.purse.spent,
        )
