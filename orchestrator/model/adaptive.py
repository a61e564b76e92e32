"""Seeds that go where they decide something: the rule by which cells are given more of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """A cell begins with the first seeds, and gets more until the rule is met (rule 6 of the language).

    Exactly one of `metric` and `claim` is set.

    Attributes:
        least: Seeds of every cell before the first look.
        most: Seeds of a cell at the last look.
        step: Seeds that are added at a time.
        metric: Its mean is to be known within `half_width`.
        half_width: Of the interval of the mean over seeds, in the metric's units.
        evaluations: What the metric is of ("test").
        claim: The claim that is to be decided: its contrasts hold or do not.
    """

    least: int
    most: int
    step: int = 1
    metric: str = ""
    half_width: float = 0.0
    evaluations: tuple[str, ...] = ("test",)
    claim: str = ""

    def __str__(self) -> str:
        """Returns "3 to 10 seeds a cell, until the interval of test_error is at most ± 0.005"."""
        until = (
            f"the claim {self.claim} is decided"
            if self.claim
            else f"the interval of {self.metric} is at most ± {self.half_width:g}"
        )
        by = f", {self.step} at a time" if self.step > 1 else ""
        return f"{self.least} to {self.most} seeds a cell{by}, until {until}"
