"""Whether a group of seeds is trained as one network, where nobody has measured it: by trying, here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from orchestrator.execution.effort import Effort
from orchestrator.execution.failures import failure_of
from orchestrator.execution.logs import TrialLog, captured
from orchestrator.execution.processor import gpus, processor
from orchestrator.model.fusing import LEAST_GAIN, UNDECIDED, Verdict, pace_of
from orchestrator.model.run import Bundle, Cause, Event
from workloads.api import Spec, load_object


def settle(
    bundle: Bundle, efforts: list[Effort], spec: Spec, config: Any, log: TrialLog
) -> tuple[list[Effort], list[Event]]:
    """Returns the trainings that this worker goes on with, and the ends of those that it gives back.

    A group that was never tried is tried; where that does not pay, its first training runs alone and the
    others are free for other workers. A group of which some were begun is a group.

    Args:
        bundle: Trainings of one group.
        efforts: One for each claim.
        spec: Their workload.
        config: Of all of them.
        log: Of the first.
    """
    undecided = bundle.claims[0].trial.group.startswith(UNDECIDED)
    if not undecided or any(effort.claim.resume is not None for effort in efforts):
        return efforts, []
    verdict = _tried(bundle, efforts[0], spec, config, log)
    log.note(f"{'fused' if verdict.fused else 'not fused'}: {verdict.text}")
    for effort in efforts:
        effort.fusing = verdict.plain()
    if verdict.fused:
        return efforts, []
    given_back = [
        each.end(Cause.INTERRUPTED, f"given back, not fused: {verdict.text}") for each in efforts[1:]
    ]
    return efforts[:1], list[Event](given_back)


def _tried(bundle: Bundle, effort: Effort, spec: Spec, config: Any, log: TrialLog) -> Verdict:
    """Returns what some steps took; a group that cannot be tried is not fused."""
    count, trial, site = len(bundle.claims), effort.claim.trial, effort.site
    pace = pace_of(spec, config, replicas=count, resources=trial.resources)
    host = str(site.identity()["host"])
    try:
        with captured(log):
            found = load_object(spec.try_fused)(config, count, Path(bundle.data), site.placement)
            reason = str(found.get("reason", ""))
            alone_ms, together_ms = (float(found.get(name, 0.0)) for name in ("alone_ms", "together_ms"))
    except (Exception, SystemExit) as error:
        failure = failure_of(error)
        log.note(f"trying {count} seeds together failed\n{failure.traceback}")
        reason, alone_ms, together_ms = f"trying it failed: {failure.message}", 0.0, 0.0
    fused = not reason and 0 < together_ms * LEAST_GAIN <= count * alone_ms
    return Verdict(
        pace=pace,
        fused=fused,
        replicas=count,
        alone_ms=alone_ms,
        together_ms=together_ms,
        device=gpus(site.placement.devices) or f"{processor()}, {site.placement.threads} threads",
        host=host,
        reason=reason,
        measured_at=time.time(),
    )
