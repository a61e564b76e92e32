"""Trainings: fused seeds of one cell, their checkpoints, and how they end."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import CorruptError, TargetError
from orchestrator.execution.abreast import abreast
from orchestrator.execution.effort import Control, Effort
from orchestrator.execution.failures import ReportError, failure_of
from orchestrator.execution.history import (
    History,
    Point,
    checked_coords,
    checked_index,
    checked_metrics,
    checked_notes,
    checked_step,
    finite,
)
from orchestrator.execution.logs import TrialLog, captured, close_quietly
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.run import Bundle, Cause, Event, Saved
from orchestrator.ports import CheckpointStore
from workloads.api import Report, Workload

# A search's candidate ends before the test split is looked at, which choosing by must never touch.
_UNTOLD = (
    "a search cannot end this training before its test: got the test before any report of evaluation "
    '"train" with progress 1; let the last report of the training proper have it'
)
STOP_GRACE_S = 10.0  # how long a stop waits for a report that offers a checkpoint


def train(
    bundle: Bundle,
    efforts: Sequence[Effort],
    workload: Workload,
    config: Any,
    *,
    store: CheckpointStore,
    control: Callable[[], Control],
    log: TrialLog,
) -> Generator[Sequence[Event], None, None]:
    """Yields the events of each report of the trainings of one bundle.

    Args:
        bundle: Trainings of equal configs.
        efforts: One for each claim, in order.
        workload: What trains.
        config: An instance of the workload's config.
        store: Where checkpoints go.
        control: What the driver wants.
        log: Of the first trial; fused ones share it.
    """
    try:
        yield from _train(bundle, efforts, workload, config, store, control, log)
    finally:
        for effort in efforts:
            if effort.resume is not None:
                store.done(effort.resume)


def _train(
    bundle: Bundle,
    efforts: Sequence[Effort],
    workload: Workload,
    config: Any,
    store: CheckpointStore,
    control: Callable[[], Control],
    log: TrialLog,
) -> Iterator[Sequence[Event]]:
    events: list[Event] = []
    for effort in efforts:
        events.append(effort.start())
        log.turn_to(effort.key)
        log.note(f"started, epoch {effort.claim.epoch}: {effort.claim.trial.label}")
        try:
            state = restore(effort, store)
        except (TargetError, OSError) as error:  # nothing says that the checkpoint is bad
            events.append(effort.fail(failure_of(error)))
            continue
        if "restarted" in effort.notes:
            log.note(effort.notes["restarted"])
        events += effort.retell()
        if state is not None:
            # Everything was computed and saved; only the news of it was lost.
            events.append(effort.finish(state, effort.claim.resume))
        if effort is not efforts[0]:
            log.note(f"trained together with {efforts[0].key}: see its log")
    together = abreast(efforts, store)
    yield events
    for several in together:
        log.turn_to(several[0].key)
        for effort in several:
            effort.share = len(several)
        if "fused" in several[0].notes:
            log.note(f"computed as one network: seeds {several[0].notes['fused']}")
        yield from _Session(bundle, several, store, control, log).run(workload, config)


def restore(effort: Effort, store: CheckpointStore) -> State | None:
    """Sets an effort to continue from its claim's newest whole checkpoint, or from 0; a note tells of damage.

    Returns:
        The state of a training that had already ended when the checkpoint was written, else None.

    Raises:
        TargetError: The store cannot be reached.
        OSError: No room for a copy of the checkpoint.
    """
    damage = []
    known = [each for each in (effort.claim.resume, *effort.claim.older) if each is not None]
    for place, checkpoint in enumerate(known):
        try:
            effort.resume = store.open(checkpoint)
            history = History.read(effort.resume)
        except (CorruptError, OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            if effort.resume is not None:
                store.done(effort.resume)
                effort.resume = None
            damage.append(
                f"checkpoint {checkpoint.path} at step {checkpoint.step} cannot be used "
                f"({type(error).__name__}: {error})"
            )
            continue
        if damage:
            effort.notes["restarted"] = f"{'; '.join(damage)}; went on from step {checkpoint.step}"
        effort.claim = replace(effort.claim, resume=checkpoint, older=tuple(known[place + 1 :]))
        effort.history = history
        effort.notes["resumed_at_step"] = checkpoint.step
        return State(history.ended) if history.ended else None
    if damage:
        effort.notes["restarted"] = f"{'; '.join(damage)}; started from 0"
    return None


class _Session:
    """One call of `Workload.train` and what its reports lead to."""

    def __init__(
        self,
        bundle: Bundle,
        efforts: Sequence[Effort],
        store: CheckpointStore,
        control: Callable[[], Control],
        log: TrialLog,
    ) -> None:
        self._bundle = bundle
        self._efforts = efforts
        self._store = store
        self._control = control
        self._log = log
        self._stop_began: float | None = None
        # One round is a report of each training. They stop and are saved in the same one, for only from
        # the same step can they go on together.
        self._heard: set[TrialKey] = set()
        self._stopping = self._saving = False
        self._rounds = 0

    def run(self, workload: Workload, config: Any) -> Iterator[Sequence[Event]]:
        efforts = self._efforts
        reports: Iterator[Report] | None = None
        try:
            while not all(effort.over for effort in efforts):
                try:
                    with captured(self._log):
                        if reports is None:
                            reports = iter(
                                workload.train(
                                    config,
                                    seeds=[effort.claim.trial.seed for effort in efforts],
                                    data=Path(self._bundle.data),
                                    resume={i: e.resume for i, e in enumerate(efforts) if e.resume},
                                    placement=replace(efforts[0].site.placement, fused=len(efforts) > 1),
                                )
                            )
                        report = next(reports)
                    effort = efforts[self._index(report)]
                except StopIteration:
                    yield self._ended_early()
                    return
                except (Exception, SystemExit) as error:
                    # Which of the fused seeds is at fault cannot be told.
                    yield self._failed(error)
                    return
                yield [*([] if effort.over else self._take(effort, report)), *self._sweep()]
        finally:
            close_quietly(reports, self._log)
            for effort in efforts:  # no thread outlives its training
                self._last(effort)

    def _take(self, effort: Effort, report: Report) -> list[Event]:
        """Returns what a report of a running training leads to."""
        events: list[Event] = []  # what has been told of stays told, whatever is raised after it
        try:
            with captured(self._log):
                for event in self._taken(effort, report):
                    events.append(event)
        except (Exception, SystemExit) as error:
            failure = failure_of(error)
            self._log.note(f"failed\n{failure.traceback}")
            events += [*self._last(effort), effort.fail(failure)]
        return events

    def _taken(self, effort: Effort, report: Report) -> Iterator[Event]:
        metrics = checked_metrics(report.metrics)
        step = checked_step(report.step)
        if report.evaluation not in ("train", "test"):
            raise ReportError(f'evaluation: got {report.evaluation!r}; allowed: "train" or "test"')
        if metrics:
            effort.history.points.append(
                Point(
                    evaluation=report.evaluation,
                    step=step,
                    coords=checked_coords(report.coords),
                    metrics=metrics,
                )
            )
        if report.notes:
            effort.notes["workload"] = effort.notes.get("workload", {}) | checked_notes(report.notes)
        yield from effort.sealed()
        yield from effort.tell(report, metrics)
        if report.save is not None:
            self._hear(effort)
        if report.diverged or not finite(metrics):
            yield from self._finish(effort, report, State.DIVERGED)
            return
        if effort.tuned:
            if report.evaluation == "test":
                raise ReportError(_UNTOLD)
            if metrics and report.progress is not None and report.progress >= 1:
                yield from self._last(effort)
                yield effort.finish(State.SUCCEEDED)
                return
        if report.evaluation == "test":
            yield from self._finish(effort, report, State.SUCCEEDED)
            return
        wanted = self._control()
        if effort.key in wanted.cancelled:
            yield from self._end(effort, Cause.CANCELLED, "cancelled on request")
        elif wanted.stopping:
            # without a new one where nothing worth a checkpoint has happened since the last
            if report.save is not None and self._stopping:
                yield from self._last(effort)
                yield from self._saved(effort, report)
            elif report.save is not None or effort.saved_step != step:
                return
            yield from self._end(effort, Cause.INTERRUPTED, f"stopped on request at step {step}")
        elif report.save is not None and self._saving:
            yield from self._saved(effort, report)

    def _hear(self, effort: Effort) -> None:
        """Decides for a whole round, when it begins, whether its checkpoints are wanted."""
        if self._heard and effort.key not in self._heard:
            self._heard.add(effort.key)
            return
        self._heard = {effort.key}
        self._rounds += 1
        self._stopping = self._control().stopping
        running = [each for each in self._efforts if not each.over]
        self._saving = any(each.due(self._bundle.checkpoint_interval_s) for each in running) and not any(
            each.sealing for each in running
        )

    def _sweep(self) -> list[Event]:
        """Returns the ends of trainings that need not wait for a report of their own."""
        wanted = self._control()
        events: list[Event] = []
        for effort in self._efforts:
            if not effort.over and effort.key in wanted.cancelled:
                events += self._end(effort, Cause.CANCELLED, "cancelled on request")
        if not wanted.stopping:
            return events
        now = self._efforts[0].clock()
        if self._stop_began is None:
            self._stop_began = now
        if now - self._stop_began > STOP_GRACE_S:
            events += self._end_all(Cause.INTERRUPTED, "stopped on request; no new checkpoint was offered")
        return events

    def _finish(self, effort: Effort, report: Report, state: State) -> Iterator[Event]:
        yield from self._last(effort)
        effort.history.ended = state.value
        checkpoint = effort.save(report, self._store) if report.save is not None else None
        self._log.note(f"{state.value} at step {report.step}: {effort.claim.trial.label}")
        yield effort.finish(state, checkpoint)

    def _saved(self, effort: Effort, report: Report) -> list[Saved]:
        if len(self._efforts) > 1:
            first = self._efforts[0]
            effort.history.mark = f"{first.key}/{first.claim.epoch}/{self._rounds}"
        return effort.save_beside(report, self._store)

    def _last(self, effort: Effort) -> list[Saved]:
        """Returns the event of a checkpoint that is not durable yet: nothing may come after an end."""
        try:
            return effort.sealed(wait=True)
        except Exception as error:  # of a store: how the training ended is not changed by it
            self._log.note(f"a checkpoint was lost: {type(error).__name__}: {error}")
            return []

    def _end(self, effort: Effort, cause: Cause, message: str) -> list[Event]:
        return [*self._last(effort), effort.end(cause, message)]

    def _end_all(self, cause: Cause, message: str) -> list[Event]:
        return [
            event
            for effort in self._efforts
            if not effort.over
            for event in self._end(effort, cause, message)
        ]

    def _index(self, report: Any) -> int:
        return checked_index(report, len(self._efforts), "seeds")

    def _failed(self, error: BaseException) -> list[Event]:
        failure = failure_of(error)
        self._log.note(f"failed\n{failure.traceback}")
        events: list[Event] = []
        for effort in self._efforts:
            if not effort.over:
                events += [*self._last(effort), effort.fail(failure)]
        return events

    def _ended_early(self) -> list[Event]:
        return self._end_all(
            Cause.ERROR, 'the workload ended without a report of evaluation "test", which must be the last'
        )
