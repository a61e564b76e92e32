"""`orch plan`'s cost: what is to run, judged by what past trials took."""

from __future__ import annotations

import math
import os
import socket
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.app.pricing import NOTHING_COUNTED, Counting, Judge
from orchestrator.model.forecast import NOTHING, Forecast, Past, Span, slots_of, total
from orchestrator.model.plan import Plan, Trial, TrialKey
from orchestrator.settings import Settings


def forecast(
    plan: Plan,
    wanted: Collection[TrialKey],
    past: Sequence[Past],
    *,
    slots: Mapping[str, float] | None,
    counting: Counting = NOTHING_COUNTED,
    host: str | None = None,
    interval_s: float = math.inf,
    free_bytes: int | None = None,
) -> Forecast:
    """Returns what is left of a plan will cost.

    Args:
        plan: With what is known of its trials.
        wanted: Trials that were asked for.
        past: What took how long, newest first.
        slots: "cpus", "gpus" and perhaps "most" at once, of the machine that it runs on; None where the
            machine is not known.
        counting: What can be counted of a config before it runs.
        host: The machine that it runs on, None where any may be.
        interval_s: Between two checkpoints of a training.
        free_bytes: Room where the store is, None where nobody can say.
    """
    judge = Judge(past, counting=counting, host=host, interval_s=interval_s)
    spans: list[tuple[Trial, Span]] = []
    disk: list[Span] = []
    counts = Counter[str]()
    for trial, times in _left(plan, wanted):
        price = judge.of(trial, plan.trials)
        counts[price.how] += times
        counts["trials"] += times
        if price.time_s is not None:
            spans += [(trial, price.time_s)] * times
        if price.disk_bytes is not None:
            disk += [price.disk_bytes] * times
    wall, at_once = _wall(spans, slots) if slots is not None else (None, None)
    return Forecast(
        trials=counts["trials"],
        alike=counts["alike"],
        counted=counts["counted"],
        near=counts["near"],
        unknown=counts["unknown"],
        cpu_s=total([span.times(trial.resources.cpu) for trial, span in spans]),
        gpu_s=total([span.times(trial.resources.gpu) for trial, span in spans]),
        wall_s=wall,
        slots=at_once,
        disk_bytes=total(disk) if disk or not counts["trials"] else None,
        disk_unknown=counts["trials"] - len(disk),
        free_bytes=free_bytes,
    )


def _left(plan: Plan, wanted: Collection[TrialKey]) -> Iterator[tuple[Trial, int]]:
    """Yields what is to run and how often: a search as the candidates that it has yet to ask for."""
    asked = Counter(trial.parents[0] for trial in plan.trials.values() if trial.stage == "tune")
    decided = {
        trial.parents[0]: trial
        for trial in reversed(list(plan.trials.values()))
        if trial.stage == "train" and trial.parents
    }
    for trial in plan.pending():
        if trial.key not in wanted:
            continue
        if trial.stage != "search":
            yield trial, 1
        elif trial.key in decided:
            left = int(trial.parameters.get("trials", 0)) - asked[trial.key]
            if left > 0:
                yield replace(decided[trial.key], stage="tune"), left


def _wall(spans: Sequence[tuple[Trial, Span]], slots: Mapping[str, float]) -> tuple[Span | None, int | None]:
    """Returns the time to the end: each class shared over its slots, and never below its longest trial."""
    classes: dict[Any, list[Span]] = defaultdict(list)
    for trial, span in spans:
        classes[trial.resources].append(span)
    if not classes:
        return NOTHING, None
    most = int(slots["most"]) if "most" in slots else None
    found, shown = NOTHING, None
    for resources, own in sorted(classes.items(), key=lambda item: -len(item[1])):
        count = slots_of(resources, cpus=slots["cpus"], gpus=slots["gpus"], most=most)
        if count < 1:
            return None, None
        shown = count if shown is None else shown
        shared = total(own).times(1 / count)
        longest = max(own, key=lambda each: each.mid)
        found = found + Span(
            low=max(shared.low, longest.low),
            mid=max(shared.mid, longest.mid),
            high=max(shared.high, longest.high),
        )
    return found, shown


def machine_of(settings: Settings) -> dict[str, float] | None:
    """Returns what the configured executor has at hand, None for a cluster that would have to be asked."""
    from orchestrator.execution.inline import visible_gpus

    most = {} if settings.max_concurrent is None else {"most": float(settings.max_concurrent)}
    if host_of(settings) is None:
        # How many it takes at once is all that is said of a cluster: it may have room for as many.
        return {"cpus": math.inf, "gpus": math.inf, **most} if most else None
    here = {"cpus": float(os.cpu_count() or 1), "gpus": float(visible_gpus())}
    return here | ({"most": 1.0} if settings.executor == "inline" else most)


def host_of(settings: Settings) -> str | None:
    """Returns the machine that trials will run on, None for any of a cluster's."""
    return socket.gethostname() if settings.executor == "inline" or settings.ray_address is None else None
