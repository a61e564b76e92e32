"""Rows of results, and the immutable Parquet parts that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.model.plan import Assignment, TrialKey, TrialStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One value that a trial measured.

    Attributes:
        trial: The trial's key.
        evaluation: "train" (curves), "test", "network" (the description of the trained network: metrics
            parameters, longest_path, flops, paths), or a condition's family.
        coords: Dimensions that the workload added.
        seed: The seed.
        draw: Number of the random instance.
        step: Position on the curve.
        metric: The metric's name.
        value: In natural units; NaN and infinities are kept.
        outcome: "succeeded" or "diverged": of the whole trial.
    """

    trial: TrialKey
    evaluation: str
    coords: Mapping[str, int | str] = field(default_factory=dict)
    seed: int
    draw: int = 0
    step: int = 0
    metric: str
    value: float
    outcome: str = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRef:
    """An immutable Parquet file that the registry lists.

    Attributes:
        path: Relative to the store's root.
        sha256: Of the file's bytes.
        rows: Number of rows.
        size_bytes: Size of the file.
    """

    path: str
    sha256: str
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a study planned, and where its results are: all of one moment, so that no part is gone meanwhile.

    Attributes:
        assignments: Every planned observation, in the plan's order.
        statuses: Of the trials that they name, and of the trials that block those.
        parts: The parts that hold results of these trials, oldest first.
        results: Trial with a result -> path of the part with its valid rows.
    """

    assignments: Sequence[Assignment]
    statuses: Mapping[TrialKey, TrialStatus]
    parts: Sequence[PartRef]
    results: Mapping[TrialKey, str]
