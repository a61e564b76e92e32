"""A study for somebody who watches it: how far it is, how fast it goes, which trial is in which state."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.app.inspect import derived
from orchestrator.app.results import recorded
from orchestrator.app.session import Session
from orchestrator.model.plan import Assignment, State, TrialKey, TrialStatus
from orchestrator.model.run import Owner, Submission
from orchestrator.model.study import ABSENT
from orchestrator.model.watch import Ended

TEST: Final = "test"  # the evaluation that stands for trainings
RECENT: Final = 60  # results that tell the pace
BREAK_S: Final = 60.0  # without anything at work: what was before is another story
# Of several trials in one square, the state that a reader has to know first.
TELLING: Final = (
    *(State.FAILED, State.RUNNING, State.BLOCKED, State.CANCELLED, State.PENDING),
    *(State.DIVERGED, State.SUCCEEDED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A study in one line.

    Attributes:
        status: As `inspect.Status` has it.
        counts: State -> number of trials, parents included.
        driver: Who drives it now.
    """

    submission: Submission
    status: str
    counts: Mapping[State, int]
    driver: Owner | None

    @property
    def total(self) -> int:
        """Number of trials."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Number of trials with a result."""
        return sum(number for state, number in self.counts.items() if state.has_result)


def summaries(session: Session) -> list[Summary]:
    """Returns every recorded study in one line, the newest submission first."""
    counts = session.registry.counts()
    newest = sorted(session.registry.studies(), key=lambda each: -each.created_at)
    return [_summary(session, each, counts.get(each.study, {})) for each in newest]


def summary(session: Session, study: str) -> Summary:
    """Returns a study in one line.

    Raises:
        NotFoundError: The store has no such study.
    """
    submission = recorded(session, study)
    return _summary(session, submission, session.registry.counts(study).get(study, {}))


def _summary(session: Session, submission: Submission, found: Mapping[tuple[str, State], int]) -> Summary:
    counts = Counter[State]()
    for (_, state), number in found.items():
        counts[state] += number
    driver = session.registry.driver(submission.study)
    return Summary(
        submission=submission,
        status=derived(session, submission, counts, driver),
        counts=counts,
        driver=driver,
    )


# --- the grid of cells and seeds --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """The trials of one cell and seed, of one evaluation.

    Attributes:
        trial: The one that the state is of.
        state: The most telling of their states.
        done: How many have a result; number: of how many.
    """

    trial: TrialKey
    state: State
    done: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell's squares, by seed."""

    cell: str
    labels: tuple[str, ...]
    squares: Mapping[int, Square]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All cells of one evaluation.

    Attributes:
        names: What each of a row's labels is of; empty where cells are told by their names.
        seeds: Of its columns, ascending.
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Trials that failed alike."""

    cause: str
    message: str
    trials: tuple[TrialKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Which trial of a study is in which state.

    Attributes:
        grids: Evaluation ("test" for trainings) -> its grid, in the study's order.
        lines: Every planned observation with its trial's status, in the plan's order.
        troubles: What failed, the most frequent first.
    """

    grids: Mapping[str, Grid]
    lines: Sequence[tuple[Assignment, TrialStatus]]
    troubles: Sequence[Trouble]


MOST_NAMES: Final = 4  # dimensions that get a column of their own
_UNKNOWN: Final = TrialStatus()


def board(session: Session, study: str) -> Board:
    """Returns which trial of a study is in which state."""
    assignments = session.registry.assignments(study)
    known = session.registry.statuses({each.trial for each in assignments})
    lines = [(each, known.get(each.trial, _UNKNOWN)) for each in assignments]
    of: dict[str, list[tuple[Assignment, TrialStatus]]] = {}
    for line in lines:
        of.setdefault(line[0].evaluation, []).append(line)
    return Board(
        grids={evaluation: _grid(own) for evaluation, own in of.items()},
        lines=lines,
        troubles=_troubles(known),
    )


def _grid(lines: Sequence[tuple[Assignment, TrialStatus]]) -> Grid:
    cells: dict[str, dict[int, list[tuple[Assignment, TrialStatus]]]] = {}
    labels: dict[str, dict[str, set[str]]] = {}
    for line in lines:
        each = line[0]
        cells.setdefault(each.cell, {}).setdefault(each.seed, []).append(line)
        for name, label in each.labels.items():
            labels.setdefault(name, {}).setdefault(each.cell, set()).add(label)
    # A dimension that has one label within each cell, and not the same in all, tells the cells apart.
    telling = [
        name
        for name, found in labels.items()
        if all(len(own) == 1 for own in found.values()) and len(set().union(*found.values())) > 1
    ]
    names = tuple(telling) if 0 < len(telling) <= MOST_NAMES else ()
    return Grid(
        names=names,
        seeds=tuple(sorted({each.seed for each, _ in lines})),
        rows=tuple(
            Row(
                cell=cell,
                labels=tuple(next(iter(labels[name][cell]), ABSENT) for name in names),
                squares={seed: _square(own) for seed, own in seeds.items()},
            )
            for cell, seeds in cells.items()
        ),
    )


def _square(lines: Sequence[tuple[Assignment, TrialStatus]]) -> Square:
    first, status = min(lines, key=lambda line: TELLING.index(line[1].state))
    return Square(
        trial=first.trial,
        state=status.state,
        done=sum(each.state.has_result for _, each in lines),
        number=len(lines),
    )


def _troubles(known: Mapping[TrialKey, TrialStatus]) -> list[Trouble]:
    alike: dict[tuple[str, str], list[TrialKey]] = defaultdict(list)
    for key, status in known.items():
        if status.state is State.FAILED:
            alike[status.cause, status.message].append(key)
    return sorted(
        (Trouble(cause=cause, message=said, trials=tuple(keys)) for (cause, said), keys in alike.items()),
        key=lambda each: -len(each.trials),
    )


# --- pace and cost ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a study goes, and what it has cost.

    Attributes:
        per_minute: Results a minute, of the newest ones; None before two.
        eta_s: Seconds to the end at that pace, None while nobody drives it or too little is known.
        device_s: Seconds of devices so far; disk_bytes: of parts and checkpoints.
    """

    per_minute: float | None
    eta_s: float | None
    device_s: float
    disk_bytes: int


def pace(session: Session, study: str) -> Pace:
    """Returns how fast a study goes, and what it has cost."""
    registry = session.registry
    device_s, disk_bytes = registry.spent(study)
    recent = lately(registry.ended(study, RECENT))
    left: Counter[str] = Counter()
    for (stage, state), number in registry.counts(study).get(study, {}).items():
        if not state.final:
            left[stage] += number
    driven = registry.driver(study) is not None
    return Pace(
        per_minute=_per_minute(recent),
        eta_s=eta(recent, left) if driven else None,
        device_s=device_s,
        disk_bytes=disk_bytes,
    )


def lately(recent: Sequence[Ended]) -> list[Ended]:
    """Returns the newest of some results, back to where nobody worked on the study.

    Args:
        recent: Newest first.
    """
    found: list[Ended] = []
    for each in recent:
        if found:
            begun = min(other.started_at for other in found)
            if begun - each.ended_at > max(BREAK_S, max(other.seconds for other in found)):
                break
        found.append(each)
    return found


def _window(recent: Sequence[Ended]) -> float:
    return max(each.ended_at for each in recent) - min(each.started_at for each in recent)


def _per_minute(recent: Sequence[Ended]) -> float | None:
    if len(recent) < 2 or _window(recent) <= 0:
        return None
    return 60 * len(recent) / _window(recent)


def eta(recent: Sequence[Ended], left: Mapping[str, int]) -> float | None:
    """Returns the seconds until what is left is done at the pace of the newest results; None when unknown.

    Args:
        recent: The newest results.
        left: Stage -> trials that are not final.
    """
    if len(recent) < 2 or _window(recent) <= 0:
        return None
    took: dict[str, list[float]] = defaultdict(list)
    for each in recent:
        took[each.stage].append(each.seconds)
    means = {stage: sum(found) / len(found) for stage, found in took.items()}
    if any(number and stage == "train" and stage not in means for stage, number in left.items()):
        return None  # trainings are the bulk of the work: a guess without one says nothing
    work = sum(number * means.get(stage, 0.0) for stage, number in left.items())
    at_once = sum(each.seconds for each in recent) / _window(recent)
    return work / at_once if at_once > 0 else None
