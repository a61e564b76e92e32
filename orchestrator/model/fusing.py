"""Seeds of a cell that are trained as one network: what was measured of it, and what follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from orchestrator.model.plan import Resources, Trial, TrialKey
from workloads.api import Spec, to_plain

# `fuse` of a study: by measurement, not at all, or so many seeds together.
Fuse: TypeAlias = int | Literal["auto", "never"]
# How the names of groups begin: decided, and to be measured by the worker that comes to one first.
FUSED: Final = "fused-"
UNDECIDED: Final = "undecided-"
# How many times as fast it has to be: below that a longer last group costs what the others gain.
LEAST_GAIN: Final = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a worker found when it tried some steps of several seeds together and one after another.

    Attributes:
        pace: See `pace_of`.
        fused: Whether seeds of such a cell are trained together.
        replicas: How many.
        alone_ms: A step of one seed alone, milliseconds; 0 where it was not measured.
        together_ms: A step of all of them together.
        device: Where.
        host: On which machine.
        reason: Why not, in words; "" when they are.
        measured_at: Seconds since the epoch.
    """

    pace: str
    fused: bool
    replicas: int
    alone_ms: float = 0.0
    together_ms: float = 0.0
    device: str = ""
    host: str = ""
    reason: str = ""
    measured_at: float = 0.0

    @property
    def gain(self) -> float:
        """How many times as fast all of them were together; 0 where it was not measured."""
        return self.replicas * self.alone_ms / self.together_ms if self.together_ms else 0.0

    @property
    def text(self) -> str:
        """The verdict in words."""
        measured = (
            f"{self.replicas} seeds together were {self.gain:.2g} times as fast as one after another "
            f"({self.replicas} x {self.alone_ms:.3g} ms against {self.together_ms:.3g} ms a step, "
            f"{self.device})"
        )
        return self.reason or measured

    def plain(self) -> dict[str, Any]:
        """Returns what `from_plain` takes."""
        return asdict(self)

    def groups(self, trial: Trial, others: Iterable[Trial]) -> dict[TrialKey, str]:
        """Returns the groups that follow for trainings that waited for this.

        Args:
            trial: The training whose group was tried.
            others: Further trainings.
        """
        if not trial.group.startswith(UNDECIDED):
            return {}
        # What was not measured says nothing of other groups; and where some of a group were not wanted, the
        # pace is that of fewer seeds, but it holds for their group all the same.
        alike = f"{UNDECIDED}{self.pace}-"
        return {
            each.key: f"{FUSED}{each.group.removeprefix(UNDECIDED)}" if self.fused else ""
            for each in (trial, *others)
            if each.group == trial.group or (self.together_ms and each.group.startswith(alike))
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Verdict:
        """Returns the verdict that `plain` wrote."""
        return cls(**plain)


def pace_of(spec: Spec, config: Any, *, replicas: int, resources: Resources) -> str:
    """Returns a digest of all that decides how fast a step is: architecture, mini-batch, class, replicas."""
    plain = [spec.name, spec.version, to_plain(spec.pace(config)), replicas, asdict(resources)]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
