"""`orch plan`'s cost: trials that are to run, judged by what past ones took."""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from orchestrator.model.forecast import NOTHING, Forecast, Past, Span, slots_of, total
from orchestrator.model.plan import Plan, Trial, TrialKey
from orchestrator.settings import Settings

Shape: TypeAlias = tuple[str, ...]
RECENT: Final = 50  # the newest of a shape count: machines and code change
ALIKE: Final = 1.25  # least factor up and down where like trials took the time
NEAR: Final = 2.5  # where others of their kind did


def forecast(
    plan: Plan, wanted: Collection[TrialKey], past: Sequence[Past], *, slots: Mapping[str, float] | None
) -> Forecast:
    """Returns what is left of a plan will cost.

    Args:
        plan: With what is known of its trials.
        wanted: Trials that were asked for.
        past: What took how long, newest first.
        slots: "cpus", "gpus" and perhaps "most" at once, of the machine that it runs on; None where the
            machine is not known.
    """
    judge = _Judge(past)
    left = [trial for trial in plan.pending() if trial.key in wanted]
    spans: list[tuple[Trial, Span]] = []
    counts = Counter[str]()
    for trial in left:
        how, span = judge.of(trial, plan.trials)
        counts[how] += 1
        if span is not None:
            spans.append((trial, span))
    wall, at_once = _wall(spans, slots) if slots is not None else (None, None)
    return Forecast(
        trials=len(left),
        alike=counts["alike"],
        near=counts["near"],
        unknown=counts["unknown"],
        cpu_s=total([span.times(trial.resources.cpu) for trial, span in spans]),
        gpu_s=total([span.times(trial.resources.gpu) for trial, span in spans]),
        wall_s=wall,
        slots=at_once,
    )


class _Judge:
    """Expected seconds of trials by what they are, from the particular to the general."""

    def __init__(self, past: Sequence[Past]) -> None:
        self._texts: dict[int, str] = {}
        self._seen: dict[Shape, list[float]] = defaultdict(list)
        for each in past:
            for shape in self._shapes(each.stage, each.workload, each.family, each.parameters, each.config):
                if len(self._seen[shape]) < RECENT:
                    self._seen[shape].append(each.seconds)

    def of(self, trial: Trial, trials: Mapping[TrialKey, Trial]) -> tuple[str, Span | None]:
        config = trial.config
        if trial.parents and trial.parents[0] in trials:
            config = trials[trial.parents[0]].config
        shapes = self._shapes(trial.stage, trial.workload, trial.family, trial.parameters, config)
        for number, shape in enumerate(shapes):
            if seen := self._seen.get(shape):
                return ("near", _span(seen, NEAR)) if number else ("alike", _span(seen, ALIKE))
        return "unknown", None

    def _shapes(
        self, stage: str, workload: str, family: str, parameters: Mapping[str, Any], config: Mapping[str, Any]
    ) -> list[Shape]:
        own = (stage, workload, family)
        if stage == "train":
            return [(*own, self._text(config)), own]
        return [(*own, self._text(parameters), self._text(config)), (*own, self._text(config)), own]

    def _text(self, value: Mapping[str, Any]) -> str:
        # Equal documents of a registry, or of a cell, are one object: each is written once.
        known = self._texts.get(id(value))
        if known is None:
            known = self._texts[id(value)] = json.dumps(value, sort_keys=True, default=list)
        return known


def _span(seen: Sequence[float], least: float) -> Span:
    """Returns the mean with a range: what was seen, and never narrower than a factor of `least`."""
    mean = statistics.fmean(seen)
    return Span(low=min(*seen, mean / least), mid=mean, high=max(*seen, mean * least))


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

    if settings.executor == "inline":
        return {"cpus": float(os.cpu_count() or 1), "gpus": float(visible_gpus()), "most": 1}
    if settings.ray_address is not None:
        return None
    found = {"cpus": float(os.cpu_count() or 1), "gpus": float(visible_gpus())}
    return found | ({} if settings.max_concurrent is None else {"most": settings.max_concurrent})


def told(found: Forecast) -> list[str]:
    """Returns a forecast in words, nothing where nothing is to run."""
    if not found.trials:
        return []
    if found.unknown == found.trials:
        return [
            "cost: not known, since nothing of the kind has run in this store; one seed tells (--seeds 1)"
        ]
    parts = [
        f"{_time(span)} of a {name}"
        for name, span in (("CPU", found.cpu_s), ("GPU", found.gpu_s))
        if span.mid
    ]
    line = f"cost: {' and '.join(parts) or 'nothing'}"
    if found.wall_s is not None:
        at_once = f" with {found.slots} at once" if found.slots else ""
        line += f"; {_time(found.wall_s)} in all{at_once}"
    basis = []
    if found.alike:
        basis.append(f"{found.alike} by past trials of the same config")
    if found.near:
        basis.append(f"{found.near} by others of their kind")
    if found.unknown:
        basis.append(f"{found.unknown} not counted, of a kind that has not run yet")
    return [f"{line} ({', '.join(basis)})"]


def _time(span: Span) -> str:
    unit, size = next(
        ((unit, size) for unit, size in (("h", 3600.0), ("min", 60.0)) if span.mid >= size), ("s", 1.0)
    )
    low, mid, high = (_rounded(each / size) for each in (span.low, span.mid, span.high))
    return f"about {mid} {unit} ({low} to {high})"


def _rounded(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
