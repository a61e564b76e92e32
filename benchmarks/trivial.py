"""The cheapest workload there is: one number, so that what is measured is the tool around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workloads.api import Condition, Placement, Report, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What tells one trial from the next."""

    x: int = 0
    y: int = 0


class Trivial:
    """Returns x / 1000 at once."""

    def train(
        self,
        config: Config,
        *,
        seeds: Sequence[int],
        data: Path,
        resume: Mapping[int, Path],
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields the test report of each seed; the checkpoint is one small file."""

        def save(directory: Path) -> None:
            (directory / "x").write_text(str(config.x))

        for index in range(len(seeds)):
            yield Report(index=index, evaluation="test", metrics={"test_error": config.x / 1000}, save=save)

    def evaluate(
        self,
        checkpoints: Sequence[Path],
        conditions: Sequence[Condition],
        *,
        data: Path,
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields nothing: there are no conditions."""
        yield from ()


WORKLOAD = Trivial()
SPEC = Spec(
    name="trivial",
    version=1,
    config=Config,
    metrics={"train": ("loss",), "test": ("test_error",)},
    runtime="benchmarks.trivial:WORKLOAD",
)
