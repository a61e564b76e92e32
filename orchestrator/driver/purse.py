"""A budget while it is spent: nothing more is claimed once what runs will have spent it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.driver.progress import Meter
from orchestrator.model.budget import Budget, share
from orchestrator.model.plan import Trial, TrialKey
from orchestrator.ports import Clock

DISK_S: Final = 1.0  # how often the disk is looked at


@dataclass(slots=True, kw_only=True)
class Purse:
    """What a study has cost, and what it will have cost when what runs has ended.

    Attributes:
        budget: The limits.
        clock: Time.
        spent_s: Device seconds of earlier attempts.
        used_bytes: What the study's results and checkpoints take by now.
    """

    budget: Budget
    clock: Clock
    spent_s: float = 0.0
    used_bytes: Callable[[], int] = lambda: 0

    _began: float = field(init=False)
    _begun: dict[TrialKey, float] = field(default_factory=dict)
    _looked: float = float("-inf")
    _used_before: int = -1  # at the first look
    _over: str = ""

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    @property
    def spent(self) -> str:
        """Why nothing more is claimed, or ""."""
        return self._over

    def started(self, key: TrialKey) -> None:
        """Notes a trial that began."""
        self._begun.setdefault(key, self.clock.monotonic())

    def ended(self, trial: Trial, duration_s: float = 0.0) -> None:
        """Notes an attempt that ended, however; how long it took, where its worker says so."""
        begun = self._begun.pop(trial.key, None)
        if begun is not None:
            self.spent_s += share(trial.resources) * (duration_s or self.clock.monotonic() - begun)

    def closed(self, running: Collection[TrialKey], trials: Mapping[TrialKey, Trial], meter: Meter) -> bool:
        """Returns whether nothing more is to be claimed; once so, it stays so.

        Args:
            running: What is claimed and has not ended.
            trials: Every trial.
            meter: What like trials took.
        """
        if not self._over:
            self._over = self._reason(running, trials, meter)
        return bool(self._over)

    def _reason(self, running: Collection[TrialKey], trials: Mapping[TrialKey, Trial], meter: Meter) -> str:
        now, limit = self.clock.monotonic(), self.budget
        if limit.wall_s is not None and now - self._began >= limit.wall_s:
            return f"the budget's wall time of {_time(limit.wall_s)} is over"
        if limit.device_s is not None:
            ahead = self.spent_s
            for key in running:
                expected = meter.expected_s(trials[key]) or 0.0
                elapsed = now - self._begun[key] if key in self._begun else 0.0
                ahead += share(trials[key].resources) * max(expected, elapsed)
            if ahead >= limit.device_s:
                return (
                    f"{_time(self.spent_s)} of devices are spent, and what runs takes it past the budget of "
                    f"{_time(limit.device_s)}"
                )
        if limit.disk_bytes is not None and now - self._looked >= DISK_S:
            self._looked = now
            used = self.used_bytes()
            if self._used_before < 0:
                self._used_before = used
            # Each training that runs will leave what each has left so far.
            each = (used - self._used_before) / meter.trained if meter.trained else 0.0
            ahead = used + each * sum(trials[key].stage == "train" for key in running)
            if ahead >= limit.disk_bytes:
                told = f"results and checkpoints take {used / 1e9:.2g} GB of {limit.disk_bytes / 1e9:.2g} GB"
                return told if used >= limit.disk_bytes else f"{told}, and what runs takes it past that"
        return ""


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 360 else f"{seconds:.3g} s"
