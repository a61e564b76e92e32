"""Seeds as declared: a fixed number of them, or a rule by which cells get more."""

from __future__ import annotations

from orchestrator.model.adaptive import Adaptive
from orchestrator.study.problems import Problems
from orchestrator.study.schema import StudyFile
from orchestrator.study.schema_seeds import SeedRuleFile, UntilFile
from orchestrator.study.text import unknown


def seeds(file: StudyFile, problems: Problems) -> tuple[tuple[int, ...], Adaptive | None]:
    """Returns the seeds that a cell may get, and the rule by which it gets them."""
    declared = file.seeds
    if not isinstance(declared, SeedRuleFile):
        return declared, None
    until = declared.until
    before = len(problems)
    if declared.max <= declared.min:
        message = f"max must be more than min, which is {declared.min}; got {declared.max}"
        problems.add(("seeds", "max"), "out-of-range", message)
    if not problems.below("seeds", "until"):
        _until(file, until, problems)
    if len(problems) > before:
        return tuple(range(declared.min)), None
    rule = Adaptive(
        least=declared.min,
        most=declared.max,
        step=declared.step,
        metric=until.metric or "",
        half_width=until.half_width or 0.0,
        evaluations=tuple(until.from_),
        claim=until.claim or "",
    )
    return tuple(range(declared.max)), rule


def _until(file: StudyFile, until: UntilFile, problems: Problems) -> None:
    at = ("seeds", "until")
    if (until.metric is None) == (until.claim is None):
        code = "missing-key" if until.metric is None else "conflict"
        message = "until: give a metric with its half_width, or a claim, and not both"
        problems.add(at, code, message, key=True)
    elif until.metric is not None and until.half_width is None:
        message = f"until: the metric {until.metric!r} needs a half_width, in its own units"
        problems.add(at, "missing-key", message, key=True)
    elif until.claim is not None and until.half_width is not None:
        problems.add((*at, "half_width"), "conflict", "a claim has no half_width; drop it", key=True)
    elif until.claim is not None and until.claim not in file.claims:
        problems.add((*at, "claim"), "unknown-claim", unknown("claim", until.claim, file.claims))
