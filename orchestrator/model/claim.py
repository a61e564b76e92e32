"""A judged claim: what was compared, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the results say of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNCLEAR = "unclear"
    INCOMPLETE = "incomplete"  # planned results are missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One contrast of a claim.

    Attributes:
        where: Labels of the combination that it is about; () for the only one.
        contrast: What is subtracted from what.
        difference: Mean over seeds, in the metric's units; None without a seed.
        interval: (low, high) with 95 per cent coverage (90 of a "similar", which its test is about), over
            all looks where seeds were added by a rule; None with fewer than two seeds.
        p: Of the test whose rejection shows what is claimed; None with fewer than two seeds.
        against: Of the test whose rejection shows the opposite, corrected for the claim's contrasts.
        n: Seeds with a value on both sides.
        left_out: Seeds that came to an end without a value on both sides: failed, in error, blocked.
        missing: Seeds whose results are still to come.
        verdict: Of this contrast alone.
    """

    where: tuple[tuple[str, str], ...]
    contrast: str
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None
    against: float | None
    n: int
    left_out: int
    missing: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A claim and its verdict.

    Attributes:
        name: As in the study.
        says: The statement.
        kind: As of `model.study.ClaimSpec`.
        metric: What is compared.
        verdict: All contrasts together.
        evidence: Each of them.
        rule: How it was judged, in words.
    """

    name: str
    says: str
    kind: str
    metric: str
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    rule: str
