"""How far a submission is: counts, what runs, and when it may be over."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.model.plan import State, Trial, TrialKey

RECENT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A trial at work: what it is, and how much of it is done (0 to 1, None when unknown)."""

    label: str
    progress: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A snapshot for people.

    Attributes:
        counts: State -> number of wanted trials.
        cells: Number of cells; cells_done: those whose trials are all final.
        cached: Wanted trials that had their result before this submission.
        trained: Trainings finished by this submission; evaluated: evaluations likewise; tuned: trainings of
            candidates.
        running: What is at work.
        elapsed_s: Since the driver began.
        eta_s: Estimated seconds to the end, None before anything has finished.
        committed: Whether results came in since the last snapshot.
        heard: Signs of trials so far: beginnings, progress, checkpoints, ends.
    """

    counts: Mapping[State, int]
    cells: int = 0
    cells_done: int = 0
    cached: int = 0
    trained: int = 0
    evaluated: int = 0
    tuned: int = 0
    running: tuple[Running, ...] = ()
    elapsed_s: float = 0.0
    eta_s: float | None = None
    committed: bool = False
    heard: int = 0

    @property
    def total(self) -> int:
        """Number of wanted trials."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Number of wanted trials that are final."""
        return sum(count for state, count in self.counts.items() if state.final)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a drive ended.

    Attributes:
        counts: State -> number of wanted trials.
        trained: Trainings that this drive finished; evaluated: evaluations likewise; tuned: trainings of
            candidates.
        failures: Trial -> message, of the wanted trials that are FAILED.
        interrupted: Whether it was asked to stop before the end.
        halted: Why claiming stopped by itself (a full disk), or "".
        spent: Why a budget let nothing more be claimed, or "".
    """

    counts: Mapping[State, int]
    trained: int
    evaluated: int
    failures: Mapping[TrialKey, str]
    interrupted: bool
    tuned: int = 0
    halted: str = ""
    spent: str = ""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Collects durations and estimates what is left.

    A trial is expected to take as long as the mean of those that did the same with other seeds, else as
    the mean of its stage.

    Attributes:
        past: What earlier submissions took for the config of a trial, None where they had none like it.
    """

    past: Callable[[Trial], float | None] = lambda trial: None
    progress: dict[TrialKey, float | None] = field(default_factory=dict)
    trained: int = 0
    evaluated: int = 0
    tuned: int = 0
    heard: int = 0

    # stage and kind ("" for all of the stage) -> seconds in all, and how often
    _spent: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    _known: dict[tuple[str, str], float | None] = field(default_factory=dict)  # from the past
    _recent: dict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=RECENT))
    )

    def finished(self, trial: Trial, duration_s: float) -> None:
        """Notes a finished trial."""
        self.progress.pop(trial.key, None)
        self.trained += trial.stage == "train"
        self.evaluated += trial.stage == "evaluate"
        self.tuned += trial.stage == "tune"
        self._recent[trial.stage].append(duration_s)
        for kind in (_kind(trial), ""):
            spent_s, number = self._spent.get((trial.stage, kind), (0.0, 0))
            self._spent[trial.stage, kind] = spent_s + duration_s, number + 1

    def ended(self, trial: Trial) -> None:
        """Notes an attempt that ended without a result."""
        self.progress.pop(trial.key, None)

    def recent_s(self, stage: str) -> float | None:
        """Returns the mean duration of the last finished trials of a stage, None before the first."""
        recent = self._recent[stage]
        return sum(recent) / len(recent) if recent else None

    def predicted_s(self, trial: Trial) -> float | None:
        """Returns how long a trial will take: as others of its config did, else as recent ones."""
        key = (trial.stage, _kind(trial))
        if key in self._spent:
            spent_s, number = self._spent[key]
            return spent_s / number
        if key not in self._known:
            self._known[key] = self.past(trial)
        known_s = self._known[key]
        return self.recent_s(trial.stage) if known_s is None else known_s

    def expected_s(self, trial: Trial) -> float | None:
        """Returns the expected duration of a trial in seconds, None when nothing is known."""
        for key in ((trial.stage, _kind(trial)), (trial.stage, "")):
            if key in self._spent:
                spent_s, number = self._spent[key]
                return spent_s / number
        return None if trial.stage == "train" else 0.0

    def eta_s(
        self, trials: Mapping[TrialKey, Trial], states: Mapping[TrialKey, State], slots: int
    ) -> float | None:
        """Returns the estimated seconds until all these trials are final."""
        left = 0.0
        for key, trial in trials.items():
            if states[key].final:
                continue
            expected = self.expected_s(trial)
            if expected is None:
                return None
            left += expected * (1 - (self.progress.get(key) or 0.0))
        return left / max(1, slots)


def snapshot(
    states: Mapping[TrialKey, State],
    trials: Mapping[TrialKey, Trial],
    cells: Mapping[str, Sequence[TrialKey]],
    running: Iterable[TrialKey],
    meter: Meter,
    *,
    cached: int,
    slots: int,
    elapsed_s: float,
    committed: bool,
) -> Progress:
    """Returns how far it is.

    Args:
        states: Of the wanted trials.
        trials: Every trial of the plan.
        cells: Cell -> its trials.
        running: What is at work.
        meter: Durations so far.
        cached: Wanted trials that had their result before.
        slots: Bundles at once.
        elapsed_s: Since the driver began.
        committed: Whether results came in since the last snapshot.
    """
    return Progress(
        counts=count(states),
        cells=len(cells),
        cells_done=sum(all(states[key].final for key in keys if key in states) for keys in cells.values()),
        cached=cached,
        trained=meter.trained,
        evaluated=meter.evaluated,
        tuned=meter.tuned,
        running=tuple(
            Running(label=trials[key].label, progress=meter.progress[key])
            for key in running
            if key in meter.progress
        ),
        elapsed_s=elapsed_s,
        eta_s=meter.eta_s({key: trials[key] for key in states}, states, slots),
        committed=committed,
        heard=meter.heard,
    )


def count(states: Mapping[TrialKey, State]) -> Mapping[State, int]:
    """Returns how many trials are in each state."""
    return Counter(states.values())


def _kind(trial: Trial) -> str:
    return trial.label.rsplit(" seed ", 1)[0]
