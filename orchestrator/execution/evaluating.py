"""Evaluations: many conditions on one set of checkpoints, of which a faulty one must not cost the others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from orchestrator.execution.effort import Control, Effort, Worker
from orchestrator.execution.failures import failure_of
from orchestrator.execution.history import (
    History,
    Point,
    checked_coords,
    checked_index,
    checked_metrics,
    checked_step,
)
from orchestrator.execution.logs import TrialLog, captured, close_quietly
from orchestrator.execution.secrets import Secrets
from orchestrator.model.plan import State
from orchestrator.model.run import Bundle, Cause, Event
from workloads.api import Condition, Report, Workload


def evaluate(
    bundle: Bundle,
    efforts: Sequence[Effort],
    workload: Workload,
    *,
    worker: Worker,
    control: Callable[[], Control],
    log: TrialLog,
) -> Iterator[Sequence[Event]]:
    """Yields the events of each report of the evaluations of one bundle.

    When the workload raises in the midst of many conditions, the one that it was reporting on and the next
    are run alone, so that only the one at fault fails; then the rest go on together.

    Args:
        bundle: Evaluations of equal parents.
        efforts: One for each claim, in order.
        workload: What evaluates.
        worker: Where the parents' checkpoints, and secrets, are.
        control: What the driver wants.
        log: Turned to the trial that is running.
    """
    parents: list[Path] = []
    try:
        try:
            parents += (worker.checkpoints.open(parent) for parent in bundle.parents)
        except (Exception, SystemExit) as error:
            failure = failure_of(error)
            yield [event for effort in efforts for event in (effort.start(), effort.fail(failure))]
            return
        yield from _evaluate(_Session(bundle, parents, workload, worker, control, log), efforts, log)
    finally:
        for parent in parents:
            worker.checkpoints.done(parent)


def _evaluate(session: _Session, efforts: Sequence[Effort], log: TrialLog) -> Iterator[Sequence[Event]]:
    alone = 0
    while waiting := [effort for effort in efforts if not effort.over]:
        batch = waiting[:1] if alone else waiting
        fault = yield from session.run(batch)
        alone = max(0, alone - 1)
        if fault is None:
            continue
        if len(batch) == 1:
            failure = failure_of(fault)
            log.note(f"failed\n{failure.traceback}")
            yield [batch[0].fail(failure)]
        elif not all(effort.over for effort in batch):
            alone = 2


class _Session:
    """Calls of `Workload.evaluate` on one set of checkpoints."""

    def __init__(
        self,
        bundle: Bundle,
        parents: Sequence[Path],
        workload: Workload,
        worker: Worker,
        control: Callable[[], Control],
        log: TrialLog,
    ) -> None:
        self._bundle = bundle
        self._parents = parents
        self._workload = workload
        self._secrets = worker.secrets
        self._control = control
        self._log = log

    def run(self, batch: Sequence[Effort]) -> Generator[Sequence[Event], None, BaseException | None]:
        """Evaluates some conditions in one call; returns what the workload raised, or None."""
        for effort in batch:
            effort.history = History()  # of a call that was broken off, nothing is kept
        current = 0
        reports: Iterator[Report] | None = None
        yield [*self._begin(batch[0]), *self._wanted(batch)]
        try:
            while not all(effort.over for effort in batch):
                try:
                    with captured(self._log):
                        if reports is None:
                            reports = iter(
                                self._workload.evaluate(
                                    self._parents,
                                    [condition_of(effort, self._secrets) for effort in batch],
                                    data=Path(self._bundle.data),
                                    placement=batch[0].site.placement,
                                )
                            )
                        report = next(reports)
                    index = checked_index(report, len(batch), "conditions")
                except StopIteration:
                    yield self._pass(batch, current, len(batch))
                    return None
                except (Exception, SystemExit) as error:
                    return error
                events = self._pass(batch, current, index)
                current = max(current, index)
                events += self._begin(batch[current])
                events += self._take(batch[index], report)
                yield [*events, *self._wanted(batch)]
        finally:
            close_quietly(reports, self._log)
        return None

    def _begin(self, effort: Effort) -> list[Event]:
        self._log.turn_to(effort.key)
        return [] if effort.begun or effort.over else [effort.start()]

    def _pass(self, batch: Sequence[Effort], first: int, end: int) -> list[Event]:
        """Returns the ends of the conditions before `end`: indexes never decrease, so they are complete."""
        events: list[Event] = []
        for effort in batch[first:end]:
            if effort.over:
                continue
            events += self._begin(effort)
            if effort.history.points:
                events.append(effort.finish(State.SUCCEEDED))
            else:
                events.append(effort.end(Cause.ERROR, "the workload reported nothing for this condition"))
        return events

    def _take(self, effort: Effort, report: Report) -> list[Event]:
        if effort.over:
            return []
        try:
            metrics = checked_metrics(report.metrics)
            step = checked_step(report.step)
            coords = checked_coords(report.coords)
        except Exception as error:
            return [effort.fail(failure_of(error))]
        if metrics:
            family = effort.claim.trial.family
            effort.history.points.append(Point(evaluation=family, step=step, coords=coords, metrics=metrics))
        return list(effort.tell(report, metrics))

    def _wanted(self, batch: Sequence[Effort]) -> list[Event]:
        """Returns the ends that the driver asks for."""
        wanted = self._control()
        events: list[Event] = []
        for effort in batch:
            if effort.over:
                continue
            if effort.key in wanted.cancelled:
                events.append(effort.end(Cause.CANCELLED, "cancelled on request"))
            elif wanted.stopping:
                events.append(effort.end(Cause.INTERRUPTED, "stopped on request"))
        return events


def condition_of(effort: Effort, secrets: Secrets) -> Condition:
    """Returns the test-time condition of an evaluation.

    Raises:
        SecretError: A secret that it needs cannot be had.
    """
    trial = effort.claim.trial
    parameters = secrets.reveal(trial.parameters)
    return Condition(family=trial.family, parameters=parameters, draw=trial.draw, seed=trial.seed)
