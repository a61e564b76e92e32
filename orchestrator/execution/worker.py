"""Runs a bundle in this process: from a workload's reports to events. Knows no executor.

`run_trials` is a generator, so that the same code serves a debugger's own thread and a cluster's worker:
it yields the events of each report (often none) and so gives its caller a chance to look around.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TextIO

from orchestrator.execution.effort import Control, Effort, Site, Worker
from orchestrator.execution.evaluating import evaluate
from orchestrator.execution.failures import ReportError, failure_of
from orchestrator.execution.fusing import settle
from orchestrator.execution.history import checked_metrics
from orchestrator.execution.logs import TrialLog, captured
from orchestrator.execution.training import train
from orchestrator.model.result import ResultRow
from orchestrator.model.run import Bundle, Cause, Claim, Event, Failed, Failure
from workloads.api import Spec, Workload, from_plain, load_object


def run_trials(
    bundle: Bundle,
    worker: Worker,
    *,
    site: Site,
    control: Callable[[], Control],
    echo: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Sequence[Event]]:
    """Yields what happens to the trials of a bundle, until each has its Finished or Failed.

    Trainings that are not fused with each other run one after another, evaluations together.
    An exception of the workload never leaves: it ends the trials at fault. Exceptions of `control` do.

    Args:
        bundle: The trials.
        worker: Checkpoints, logs, and how to find the workload.
        site: Where it runs.
        control: What the driver wants; asked between reports.
        echo: Where what the workload prints goes besides the log file, or None.
        clock: Seconds that never go back.
    """
    for part in apart(bundle):
        if part.claims[0] is not bundle.claims[0] and control().stopping:
            failure = Failure(cause=Cause.INTERRUPTED, message="stopped before it began")
            yield [Failed(trial=each.trial.key, epoch=each.epoch, failure=failure) for each in part.claims]
            continue
        yield from _run_together(part, worker, site=site, control=control, echo=echo, clock=clock)


def apart(bundle: Bundle) -> list[Bundle]:
    """Returns a bundle's trials as bundles whose trials belong together: fused seeds, or all evaluations."""
    if bundle.stage == "evaluate":
        return [bundle]
    parts: dict[str, list[Claim]] = {}
    for claim in bundle.claims:
        parts.setdefault(claim.trial.group or claim.trial.key, []).append(claim)
    return [replace(bundle, claims=tuple(claims)) for claims in parts.values()]


def _run_together(
    bundle: Bundle,
    worker: Worker,
    *,
    site: Site,
    control: Callable[[], Control],
    echo: TextIO | None,
    clock: Callable[[], float],
) -> Iterator[Sequence[Event]]:
    efforts = [Effort(claim=claim, site=site, clock=clock) for claim in bundle.claims]
    first = bundle.claims[0].trial
    with TrialLog(worker.logs, echo=echo) as log:
        log.turn_to(first.key)
        config: Any = None
        described: dict[str, float] = {}
        try:
            with captured(log):
                spec = worker.resolve(first.workload, modules=worker.modules)
                workload: Workload = load_object(spec.runtime)
                if bundle.stage != "evaluate":
                    config = from_plain(spec.config, worker.secrets.reveal(first.config))
                    described = describe(spec, config)
        except (Exception, SystemExit) as error:
            failure = failure_of(error)
            log.note(f"failed before it began\n{failure.traceback}")
            yield [event for each in efforts for event in (each.start(), each.fail(failure))]
            return
        if bundle.stage != "evaluate":
            for effort in efforts:
                effort.extra = tuple(
                    ResultRow(
                        trial=effort.key,
                        evaluation="network",
                        seed=effort.claim.trial.seed,
                        metric=name,
                        value=value,
                    )
                    for name, value in described.items()
                )
            trainings, given_back = (
                settle(bundle, efforts, spec, config, log) if len(efforts) > 1 else (efforts, [])
            )
            events = train(
                bundle, trainings, workload, config, store=worker.checkpoints, control=control, log=log
            )
            with closing(events):
                yield next(events)
                if given_back:  # after the news of why: the driver lets them go by themselves then
                    yield given_back
                yield from events
        else:
            yield from evaluate(bundle, efforts, workload, worker=worker, control=control, log=log)


def run_bundle(
    bundle: Bundle,
    worker: Worker,
    *,
    site: Site,
    emit: Callable[[Event], None],
    control: Callable[[], Control],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Runs a bundle to its end and hands each event to `emit`; the arguments are `run_trials`'s."""
    for events in run_trials(bundle, worker, site=site, control=control, clock=clock):
        for event in events:
            emit(event)


def describe(spec: Spec, config: Any) -> dict[str, float]:
    """Returns the numbers of the network's description; what is None or too large to record is left out.

    Raises:
        ReportError: The description holds something else than numbers.
    """
    if not spec.describe:
        return {}
    described = load_object(spec.describe)(config)
    try:
        return checked_metrics({name: value for name, value in described.items() if _recorded(value)})
    except ReportError as error:
        raise ReportError(f"the description of the network, {spec.describe}: {error}") from None


def _recorded(value: Any) -> bool:
    # a thousand residual modules have 2^1000 paths and more: exact as an integer, beyond any float
    return value is not None and not (isinstance(value, int) and abs(value) > sys.float_info.max)
