"""What a study comes to: cells, trials, assignments, and the plan that joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NewType

TrialKey = NewType("TrialKey", str)  # hex digest, 32 characters

# A search decides the config of trainings: it trains candidates ("tune"), and nothing itself.
Stage = Literal["train", "evaluate", "search", "tune"]


class State(StrEnum):
    """State of a trial; the registry is the only truth about it."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DIVERGED = "diverged"  # an outcome ("fail" in a table), not an error
    FAILED = "failed"
    BLOCKED = "blocked"  # a parent failed or, for a gather or an evaluation, diverged
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen unless somebody asks for it."""
        return self not in (State.PENDING, State.RUNNING)

    @property
    def has_result(self) -> bool:
        """Whether rows were committed."""
        return self in (State.SUCCEEDED, State.DIVERGED)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Resources:
    """A resource class: what one lane of it holds. Never part of a trial's identity."""

    cpu: float = 1.0
    gpu: float = 0.0
    memory_gb: float = 0.0

    def __str__(self) -> str:
        """Returns "1 CPU", "2 CPU + 0.5 GPU + 4 GB"."""
        parts = [f"{self.cpu:g} CPU"]
        if self.gpu:
            parts.append(f"{self.gpu:g} GPU")
        if self.memory_gb:
            parts.append(f"{self.memory_gb:g} GB")
        return " + ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """A factor or a test-time factor, as tables see it: its labels in display order."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of levels, no seed.

    Attributes:
        index: Position in the order of the design.
        name: "depth=26,sharing=W/": the existing factors' labels in the order written (or
            "variant=w/o BN" for the other designs); unique in the study.
        labels: Existing factors -> label (and `variant`).
        config: The workload's canonical config as plain data, defaults included.
    """

    index: int
    name: str
    labels: Mapping[str, str]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One computation with an identity: a training with its test, or one condition x draw x seed.

    Attributes:
        key: Identity (design, section 4).
        stage: Training, evaluation, search, or the training of a search's candidate.
        workload: The study's `workload:` text, which names the Spec.
        config: Canonical config as plain data (training), else empty. Where a search decides some of it, that
            part is the workload's default until it has.
        family: Family of the condition (evaluation), else "".
        parameters: Parameters of the condition, plain; of a search what it searches; of a candidate its
            values.
        draw: Number of the random instance, or of the candidate.
        seed: The seed.
        parents: Trainings whose checkpoints it reads, in the order of the gathered factor's levels; of a
            training the search that decides its config, if any, and so of a candidate, which runs before it.
        gathers: Whether it joins several networks (then a diverged parent blocks it too).
        resources: The class it runs in.
        group: Trainings of equal non-empty group are fused: one bundle.
        order: Position in the run order (seeded random, first seed of every cell first).
        label: For people: "depth=26,sharing=W/ seed 0", or "members[component=LLL] of ...".
    """

    key: TrialKey
    stage: Stage
    workload: str
    config: Mapping[str, Any] = field(default_factory=dict)
    family: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    draw: int = 0
    seed: int = 0
    parents: tuple[TrialKey, ...] = ()
    gathers: bool = False
    resources: Resources = field(default_factory=Resources)
    group: str = ""
    order: int = 0
    label: str = ""

    @property
    def networks(self) -> tuple[TrialKey, ...]:
        """The parents whose checkpoints it reads: none of a training's."""
        return self.parents if self.stage == "evaluate" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Says which trial gives one planned observation of a study; many assignments share a trial.

    Attributes:
        study: The study's name.
        cell: Name of the cell; for a gather the names of the joined cells' common labels.
        evaluation: "test" stands for a training and its curves; else the evaluation's name.
        labels: Every dimension of the study -> its label, by rule 8 of the language.
        draw: Number of the random instance.
        seed: The seed.
        trial: The trial's key.
    """

    study: str
    cell: str
    evaluation: str
    labels: Mapping[str, str]
    draw: int = 0
    seed: int
    trial: TrialKey


Grants = Mapping[str, int]  # cell -> how many of the study's seeds, the first of them, it has


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which cells' networks planned observations need, where cells differ in their seeds.

    Attributes:
        cells: All of them.
        members: (evaluation, an assignment's cell) -> for each network that it needs the cells, of equal
            config, any of which trains it.
        needed: Trial -> the cells of all of these, of every assignment that it serves.
    """

    cells: frozenset[str]
    members: Mapping[tuple[str, str], frozenset[frozenset[str]]]
    needed: Mapping[TrialKey, frozenset[str]]

    def limit(self, place: tuple[str, str], granted: Grants) -> int:
        """Returns how many seeds an observation has networks of."""
        return min(max(granted[cell] for cell in cells) for cells in self.members[place])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStatus:
    """What is known of a trial: state, cause and message, and which code made its result."""

    state: State = State.PENDING
    cause: str = ""
    message: str = ""
    blocked_by: TrialKey | None = None
    epoch: int = 0
    attempts: int = 0
    code: str = ""  # code digest of the result
    commit: str = ""  # git commit of the result
    driver: str = ""  # id of the driver that runs it


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A config that a search sets values in, and the cells that have it.

    Attributes:
        config: Canonical, plain, defaults included.
        cells: Cell -> its labels of all dimensions.
    """

    config: Mapping[str, Any]
    cells: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchGroup:
    """The cells that share one search.

    Attributes:
        key: The search's.
        label: For people: the labels that the cells have in common.
        bases: Their distinct configs; a candidate trains each, and is judged by the mean.
    """

    key: TrialKey
    label: str
    bases: tuple[Base, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a submission will record: trials, assignments, and what is already known.

    Attributes:
        study: The study's name.
        cells: In the order of the design.
        dimensions: Every dimension of the study with its labels in display order.
        trials: Key -> trial, in run order.
        assignments: Every planned observation.
        known: States of the trials that the registry already has.
        searches: What decides hyperparameters, in the order of their cells.
        notes: What a reader should know (shared trainings, confounded factors, other code).
    """

    study: str
    cells: Sequence[Cell]
    dimensions: Sequence[Dimension]
    trials: Mapping[TrialKey, Trial]
    assignments: Sequence[Assignment]
    known: Mapping[TrialKey, TrialStatus] = field(default_factory=dict)
    searches: Sequence[SearchGroup] = ()
    notes: Sequence[str] = ()

    def state(self, key: TrialKey) -> State:
        """Returns the known state of a trial, PENDING when it is new."""
        status = self.known.get(key)
        return status.state if status else State.PENDING

    def pending(self) -> list[Trial]:
        """Returns the trials without a result, in run order."""
        return [trial for key, trial in self.trials.items() if not self.state(key).has_result]
