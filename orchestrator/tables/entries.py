"""Entries: from the values of seeds to what is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.model.plan import TrialKey
from orchestrator.model.study import TableSpec
from orchestrator.model.table import Entry
from orchestrator.stats.estimate import LEVEL, Estimate, estimate
from orchestrator.stats.sequential import corrected_level
from orchestrator.tables import numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What became of the seeds of one entry.

    Attributes:
        metric: The entry's metric.
        group: Entries of equal group compete for the mark of the best.
        outcomes: (seed, status, value or None), seeds ascending; status as in `seeds.by_seed`.
        message: Of the first trial that failed or is blocked.
        trials: Every trial.
    """

    metric: str
    group: tuple[str, ...]
    outcomes: tuple[tuple[int, str, float | None], ...]
    message: str
    trials: tuple[TrialKey, ...]

    @property
    def values(self) -> tuple[tuple[int, float], ...]:
        """(seed, value) of the seeds that enter the statistic."""
        return tuple(
            (s, value) for s, status, value in self.outcomes if status == "value" and value is not None
        )

    @property
    def counts(self) -> Counter[str]:
        """Status -> number of seeds."""
        return Counter(status for _, status, _ in self.outcomes)

    @property
    def failed(self) -> bool:
        """Whether half or more of the seeds that came to an outcome failed.

        Seeds without an outcome (pending, blocked, in error) are no evidence either way: they count on
        neither side, and the entry says n=3/5 until they have one.
        """
        fails = self.counts["fail"]
        return fails > 0 and 2 * fails >= fails + len(self.values)


Place: TypeAlias = tuple[int, int]  # row, column
Samples: TypeAlias = Mapping[Place, Sample]

NEVER_PLANNED = Entry(text="", status="missing")


def estimates(spec: TableSpec, samples: Samples, *, looks: int = 1) -> dict[Place, Estimate]:
    """Returns (row, column) -> the statistic, of the entries that have one.

    Args:
        spec: The table.
        samples: (row, column) -> what became of its seeds.
        looks: How often they may have been looked at while seeds were added.
    """
    level = corrected_level(LEVEL, looks)
    return {
        place: estimate([value for _, value in sample.values], spec.show, spec.std, level=level)
        for place, sample in samples.items()
        if spec.show == "n" or (sample.values and not sample.failed)
    }


def forms(
    spec: TableSpec, samples: Samples, estimated: Mapping[Place, Estimate], metrics: Sequence[str]
) -> dict[str, numbers.Form]:
    """Returns metric -> how its numbers are printed in the whole table."""
    scaled = numbers.per_cent(spec, metrics)
    found: dict[str, numbers.Form] = {}
    for metric in metrics:
        values = [
            each.value
            for place, each in estimated.items()
            if samples[place].metric == metric and each.value is not None
        ]
        digits = numbers.default_digits(values, percent=metric in scaled)
        found[metric] = numbers.Form(
            digits=digits if spec.digits is None else spec.digits, percent=metric in scaled
        )
    return found


def entries(
    spec: TableSpec, samples: Samples, estimated: Mapping[Place, Estimate], forms: Mapping[str, numbers.Form]
) -> dict[Place, Entry]:
    """Returns (row, column) -> the printed entry, nothing marked.

    Args:
        spec: The table.
        samples: (row, column) -> what became of its seeds.
        estimated: What `estimates` gave.
        forms: What `forms` gave.
    """
    return {
        place: _entry(spec, sample, estimated.get(place), forms[sample.metric])
        for place, sample in samples.items()
    }


def _entry(spec: TableSpec, sample: Sample, estimated: Estimate | None, form: numbers.Form) -> Entry:
    counts, values = sample.counts, sample.values
    waiting = counts["pending"] + counts["absent"]
    if estimated is not None:
        text = numbers.statistic(estimated, spec.show, form.digits, percent=form.percent)
    elif sample.failed:
        text = "fail"
    elif counts["error"]:
        text = "error"
    elif counts["blocked"]:
        text = "blocked"
    else:
        text = spec.missing
    remarks: list[str] = []
    if counts["fail"] and estimated is not None:
        remarks.append(f"{counts['fail']} fail")
    if values or counts["fail"]:
        remarks += [f"{counts[status]} {status}" for status in ("error", "blocked") if counts[status]]
        if waiting or counts["error"] or counts["blocked"]:
            remarks.append(f"n={len(values)}/{len(sample.outcomes)}")
    if remarks:
        text = f"{text} ({', '.join(remarks)})"
    return Entry(
        text=text,
        estimate=None if estimated is None else estimated.value,
        spread=None if estimated is None else estimated.spread,
        interval=None if estimated is None else estimated.interval,
        n=len(values),
        planned=len(sample.outcomes),
        failures=counts["fail"],
        status=_status(sample, waiting),
        message=sample.message if counts["error"] or counts["blocked"] else "",
        values=values,
        trials=sample.trials,
    )


def _status(sample: Sample, waiting: int) -> str:
    counts = sample.counts
    if sample.failed:
        return "fail"
    for status in ("error", "blocked"):
        if counts[status]:
            return status
    if waiting:
        return "partial" if sample.values or counts["fail"] else "pending"
    return "ok"
