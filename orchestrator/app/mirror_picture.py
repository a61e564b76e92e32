"""What the mirror's runs are composed of: a study as recorded, and what is known of its trials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.app.mirror_items import gather_key, training_key
from orchestrator.model.plan import Assignment, State, Trial, TrialKey, TrialStatus
from orchestrator.model.result import ResultRow
from orchestrator.model.run import Attempt, Submission

TEST = "test"  # the evaluation that stands for a training and its curves


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the registry recorded of a study, indexed; it changes only with a new submission.

    Attributes:
        submission: The latest.
        trials: Recorded trials.
        trainings: Key -> the observation that stands for a training and its curves.
        conditions: Training's key -> observations of that network alone.
        gathers: Key -> gathered observation.
        cells: Name -> the trainings of the cell.
    """

    submission: Submission
    trials: Mapping[TrialKey, Trial]
    trainings: Mapping[str, Assignment]
    conditions: Mapping[str, Sequence[Assignment]]
    gathers: Mapping[str, Assignment]
    cells: Mapping[str, Sequence[Assignment]]

    def needed(self, kind: str, key: str) -> list[TrialKey]:
        """Returns the trials that an item is composed of."""
        if kind == "training" and key in self.trainings:
            return [self.trainings[key].trial, *(each.trial for each in self.conditions.get(key, ()))]
        if kind == "gather" and key in self.gathers:
            return [self.gathers[key].trial]
        if kind == "cell":
            return [each.trial for each in self.cells.get(key, ())]
        return list(self.trials) if kind in ("closing", "study") else []


def picture(
    submission: Submission, trials: Mapping[TrialKey, Trial], assignments: Iterable[Assignment]
) -> Picture:
    """Returns the indexed picture of a study."""
    trainings: dict[str, Assignment] = {}
    gathers: dict[str, Assignment] = {}
    conditions: defaultdict[str, list[Assignment]] = defaultdict(list)
    cells: defaultdict[str, list[Assignment]] = defaultdict(list)
    for each in assignments:
        if each.evaluation == TEST:
            trainings[training_key(each.cell, each.seed)] = each
            cells[each.cell].append(each)
        elif trials[each.trial].gathers:
            gathers[gather_key(each)] = each
        else:
            conditions[training_key(each.cell, each.seed)].append(each)
    return Picture(
        submission=submission,
        trials=trials,
        trainings=trainings,
        conditions=conditions,
        gathers=gathers,
        cells=cells,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of some trials now.

    Attributes:
        statuses: State of each.
        rows: Valid result rows of those that have any.
        attempts: Tries at the trials that have a run of their own, oldest first; for the end of a
            submission, at its trainings.
    """

    statuses: Mapping[TrialKey, TrialStatus] = field(default_factory=dict)
    rows: Mapping[TrialKey, Sequence[ResultRow]] = field(default_factory=dict)
    attempts: Mapping[TrialKey, Sequence[Attempt]] = field(default_factory=dict)

    def status(self, key: TrialKey) -> TrialStatus:
        """Returns the status of a trial; PENDING where none is recorded."""
        return self.statuses.get(key, TrialStatus())


def counted(prefix: str, states: Mapping[State, int]) -> dict[str, str]:
    """Returns tags that count states: "orch.trials.failed": "2"."""
    return {f"{prefix}.{state.value}": str(count) for state, count in sorted(states.items())}


def milliseconds(seconds: float | None) -> int:
    """Returns seconds as whole milliseconds, 0 for None."""
    return round(1000 * (seconds or 0.0))
