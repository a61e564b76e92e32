"""A built table: entries that know their estimate, their uncertainty and their trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model.plan import TrialKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """How an entry differs from its table's baseline.

    Attributes:
        text: What is printed ("-1.26 (p = 0.003)"), "–" with fewer than two seeds.
        difference: Entry minus baseline, of means over seeds, in natural units; None without a seed.
        interval: Its 95 % confidence interval, or None.
        p: Of the t test, not corrected, or None.
        corrected: p after Holm's correction over the contrasts of the table, or None.
        n: Seeds that entered: with a value in both (paired), or of the smaller group.
        effect: Difference in standard deviations, corrected for few seeds, or None.
    """

    text: str
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    corrected: float | None = None
    n: int = 0
    effect: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a paper prints in the place of an entry, and whether the entry agrees.

    Attributes:
        text: As the table shows it ("7.88 ± 0.19", "fail").
        value: In natural units, or None.
        std: As printed, or None.
        n: Runs behind it, or None.
        difference: Ours minus the printed one, or None where they are not compared.
        interval: Its 90 % confidence interval, or None.
        margin: Within which the two count as the same, or None.
        verdict: "reproduced", "not reproduced" or "unclear"; empty where they are not compared.
    """

    text: str
    value: float | None = None
    std: float | None = None
    n: int | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A printed cell of a table.

    Attributes:
        text: What is printed, without the mark of the best ("7.1 ± 0.2 (1 fail)", "fail", "–").
        estimate: The statistic, in natural units, or None.
        spread: Its standard deviation (or half-width), or None.
        interval: (low, high), or None.
        n: Seeds whose value enters the statistic.
        planned: Seeds that were planned.
        failures: Seeds that diverged or exceed `fail_when`.
        best: Whether it is marked.
        close: Whether it is not the best, and its seeds do not tell it from the best.
        status: "ok", "fail", "partial" (seeds pending), "pending", "error" (a trial failed),
            "blocked" or "missing" (never planned).
        message: Of the failed or blocking trial.
        values: (seed, value) that entered.
        trials: Every trial the entry came from.
        contrast: To the table's baseline; None for the baseline itself and where there is none.
        printed: What a paper has here, or None.
    """

    text: str
    estimate: float | None = None
    spread: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    planned: int = 0
    failures: int = 0
    best: bool = False
    close: bool = False
    status: str = "ok"
    message: str = ""
    values: tuple[tuple[int, float], ...] = ()
    trials: tuple[TrialKey, ...] = ()
    contrast: Contrast | None = None
    printed: Printed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table ready to be rendered.

    Attributes:
        name: The table's name in the study.
        caption: Above it.
        row_names: Names of the row headers, one for each nesting level ("depth", "sharing").
        rows: Labels of each row, one tuple entry for each nesting level.
        column_names: Names of the column headers, outermost first (empty for selections).
        columns: Labels of each column, outermost first.
        entries: entries[row][column].
        notes: Below it ("n = 3 seeds", "std: sample").
        show: Which statistic the entries are, where further lines stand below it.
        contrast_line: Header of the line of contrasts ("vs. Plain"); empty without a baseline.
        printed_line: Header of the line of a paper's values ("paper"); empty without any.
    """

    name: str
    caption: str = ""
    row_names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    column_names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    entries: tuple[tuple[Entry, ...], ...]
    notes: Sequence[str] = ()
    show: str = ""
    contrast_line: str = ""
    printed_line: str = ""
