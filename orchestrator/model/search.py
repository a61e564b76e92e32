"""Searches as declared and planned: which values are tried for the config of each cell, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from orchestrator.model.plan import State, TrialKey

Value: TypeAlias = bool | int | float | str | None
Values: TypeAlias = Mapping[str, Value]  # dotted path of the config -> value

Ending: TypeAlias = Literal["", "complete", "pruned", "diverged", "failed"]
Sampler: TypeAlias = Literal["tpe", "random", "qmc"]
PrunerName: TypeAlias = Literal["none", "median", "successive_halving", "hyperband"]

# Seeds of candidates begin here; seeds of a study that searches end before it.
FIRST_SEED: Final = 2**31
TABLE: Final = "search"  # of what was chosen, which a study that searches has beside its own
EVALUATION: Final = "search"  # what candidates are assigned as, and the evaluation of a search's own rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One dimension of a space.

    Attributes:
        path: Dotted path of the config that it sets.
        choices: The values, of which none is nearer to another; empty for a range.
        low: Least value of a range; high: the largest one. Whole numbers make a range of whole numbers.
        log: Whether the range is searched on a logarithmic scale.
        step: Distance of the values of a range, None for any value (1 for whole numbers).
    """

    path: str
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return not self.choices and isinstance(self.low, int) and isinstance(self.high, int)

    def plain(self) -> Any:
        """Returns it as plain data: what a search's identity holds."""
        if self.choices:
            return list(self.choices)
        found: dict[str, Any] = {"low": self.low, "high": self.high}
        if self.whole:
            found["whole"] = True  # 1 and 1.0 are written alike
        if self.log:
            found["log"] = True
        if self.step is not None:
            found["step"] = self.step
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruner:
    """When a candidate is ended before its time.

    Attributes:
        name: Optuna's, "none" for never.
        startup: Candidates that end in full before any is pruned.
        warmup: Steps of the curve before which none is pruned.
    """

    name: PrunerName = "none"
    startup: int = 5
    warmup: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How the hyperparameters of cells are chosen before their seeds run.

    Attributes:
        space: What is tried.
        trials: Candidates of each search: the same for all.
        metric: What is judged: the last value of a training's curve.
        best: Whether the least or the largest value is best.
        sampler: Which values are tried.
        pruner: Which candidates are ended early.
        parallel: Candidates that are asked for at once: what is tried never depends on how many slots
            there are.
        seed: Of the sampler.
        by: Factors whose levels have a search each, None for a search of each cell.
    """

    space: tuple[Parameter, ...]
    trials: int
    metric: str
    best: Literal["min", "max"] = "min"
    sampler: Sampler = "tpe"
    pruner: Pruner = field(default_factory=Pruner)
    parallel: int = 4
    seed: int = 0
    by: tuple[str, ...] | None = None

    def plain(self) -> dict[str, Any]:
        """Returns what decides which candidates there are, as plain data; the seed is apart."""
        found: dict[str, Any] = {
            "space": {each.path: each.plain() for each in self.space},
            "trials": self.trials,
            "metric": self.metric,
            "best": self.best,
            "sampler": self.sampler,
            "parallel": self.parallel,
        }
        if self.pruner.name != "none":
            pruner = self.pruner
            found["pruner"] = {"name": pruner.name, "startup": pruner.startup, "warmup": pruner.warmup}
        return found

    def __str__(self) -> str:
        """Returns "20 candidates by tpe for the least validation_error"."""
        which = "least" if self.best == "min" else "largest"
        return f"{self.trials} candidates by {self.sampler} for the {which} {self.metric}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Values that a search tried.

    Attributes:
        number: 0, 1, ... in the search.
        values: What was tried.
        curve: (step, value) of the metric in order, the mean over the trainings.
        ended: "complete", "pruned", "diverged" or "failed"; "" while it runs.
        trials: Its trainings.
        message: Why it failed.
    """

    number: int
    values: Values
    curve: tuple[tuple[int, float], ...] = ()
    ended: Ending = ""
    trials: tuple[TrialKey, ...] = ()
    message: str = ""

    @property
    def value(self) -> float | None:
        """What it is judged by, None unless it is complete."""
        return self.curve[-1][1] if self.ended == "complete" and self.curve else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What a search came to.

    Attributes:
        key: The search's.
        label: Of its cells.
        search: As declared.
        candidates: In order.
        chosen: The best one; None before the search has ended, or where none is complete.
        importance: Path -> share of the metric's variance that it explains; empty where that cannot be said.
        state: Of the search.
    """

    key: TrialKey
    label: str
    search: Search
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    importance: Mapping[str, float]
    state: State


def best_of(candidates: tuple[Candidate, ...], best: Literal["min", "max"]) -> Candidate | None:
    """Returns the candidate with the best value, of equal ones the first; None where none is complete."""
    judged = [(each.value, each.number, each) for each in candidates if each.value is not None]
    if not judged:
        return None
    sign = 1 if best == "min" else -1
    return min(judged, key=lambda each: (sign * each[0], each[1]))[2]
