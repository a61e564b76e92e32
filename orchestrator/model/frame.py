"""The long table that printed tables are made from: the one place below the store that knows polars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from orchestrator.model.plan import Dimension


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a study planned and what it measured.

    Dimension columns carry the prefix "@" so that no factor's name can clash with another column.

    Attributes:
        dimensions: With labels in display order; coordinates that workloads add come last, their
            labels as text in numeric order where they are numbers.
        planned: One line for each assignment: line, evaluation, cell, draw, seed, trial, state, message
            and "@dimension" columns. A training has two lines, evaluations "test" and "train". `line` is
            the number of the assignment; it joins the two tables, together with the evaluation.
        observed: One line for each value: line, evaluation, cell, draw, seed, trial, outcome, step,
            metric, value, and "@dimension" columns (coordinates included, "–" where absent).
            Evaluation is the study's name for it ("test", "train", "network", "members", ...).
        looks: How often the results may have been looked at while seeds were added: intervals and tests
            hold for all of these looks together.
        sampling: By which rule they were added, in words; "" for a fixed number.
    """

    dimensions: Sequence[Dimension]
    planned: pl.DataFrame
    observed: pl.DataFrame
    looks: int = 1
    sampling: str = ""
