"""Claims in a study file: a statement in words, and the comparison that would show it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.study.schema_values import File, Remark, Test, Text, WhereFile, Words


class ThanFile(File):
    """Two selections, of which one is said to be higher or lower."""

    of: WhereFile
    than: WhereFile


class SimilarFile(File):
    """Two selections that are said to differ by less than a margin."""

    of: WhereFile
    to: WhereFile
    within: float = Field(gt=0, description="The margin, in the metric's own units")


class MonotoneFile(File):
    """A factor along whose levels, in their order, the metric is said to rise or fall."""

    over: Text
    direction: Literal["rising", "falling"]


class BestFile(File):
    """One level of a dimension that is said to be better than every other."""

    of: WhereFile
    by: Literal["min", "max"] = "min"


class ClaimFile(File):
    """A statement and the contrasts that would show it."""

    says: Remark
    from_: Words = Field(("test",), alias="from")
    where: WhereFile = {}
    metric: Text
    pool: Words = ()
    fail_when: Text | None = None
    at: Text = "last"
    test: Test = "t"
    higher: ThanFile | None = None
    lower: ThanFile | None = None
    similar: SimilarFile | None = None
    monotone: MonotoneFile | None = None
    best: BestFile | None = None
