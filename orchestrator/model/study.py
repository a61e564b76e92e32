"""A study as declared: what the YAML file says, checked and frozen.

Positions live in `Study.places`, a mapping from a path inside the document to (file, line, column), so
that errors found later still point at the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from orchestrator.model.adaptive import Adaptive
from orchestrator.model.budget import Budget
from orchestrator.model.fusing import Fuse
from orchestrator.model.plan import Resources
from orchestrator.model.search import Search

# factor or dimension -> the labels that fit (any of)
Where: TypeAlias = Mapping[str, tuple[str, ...]]

ABSENT = "–"  # the label of a dimension that does not exist in a cell, and of a missing entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One labelled value of a factor.

    Attributes:
        label: What tables print and `where`, `when`, `exclude` and the command line name.
        patch: Dotted path -> value; several for a level that sets several fields.
    """

    label: str
    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """What varies, in training (`design.factors`) or at test time (`evaluate.*.vary`)."""

    name: str
    levels: tuple[Level, ...]
    when: Where = field(default_factory=dict)
    otherwise: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Patches of the config of the cells that fit."""

    when: Where
    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How levels combine into cells.

    Attributes:
        type: The combination rule.
        factors: In the order written.
        base: `baseline` of one_at_a_time or `on` of leave_one_out.
        cells: Label -> factor -> label, of a list design.
        zip: Groups of factors that move together.
        exclude: Label selections that are left out.
        overrides: Patches applied after the factors.
    """

    type: Literal["factorial", "one_at_a_time", "leave_one_out", "list"]
    factors: tuple[Factor, ...]
    base: Mapping[str, str] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    zip: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[Where, ...] = ()
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Test-time measurements on trained networks (rule 7 of the language)."""

    name: str
    family: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    vary: tuple[Factor, ...] = ()
    when: Where = field(default_factory=dict)
    draws: int = 1
    gather: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # `as`
    resources: Resources | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailWhen:
    """`test_error > 0.5`: a seed fails whose own value of the metric compares so."""

    metric: str
    comparison: Literal[">", ">=", "<", "<="]
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Which point of a training curve: `last`, `best(metric)` or `step N`."""

    rule: Literal["last", "best", "step"] = "last"
    metric: str | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Rows or columns of a table: dimensions, nested, or named selections (one of the two).

    Attributes:
        dimensions: Outermost first; "metric" stands for the table's metrics.
        selections: Label -> the dimensions' labels it selects, in the order written.
    """

    dimensions: tuple[str, ...] = ()
    selections: Mapping[str, Where] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedValue:
    """A number as a paper prints it.

    Attributes:
        labels: Column of the paper's table -> label; those that are dimensions of the study tell its entry.
        metric: What it is a value of.
        value: In natural units; None for a printed "fail".
        std: Its standard deviation, or None.
        n: Runs behind it, or None where the paper does not say.
        ddof: What the std's sum is divided by: n - ddof; None where the paper does not say.
        fail: Whether the paper prints a failure.
    """

    labels: Mapping[str, str]
    metric: str
    value: float | None
    std: float | None = None
    n: int | None = None
    ddof: int | None = None
    fail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A paper's values beside a table's own (rule 13 of the language).

    Attributes:
        values: Of the table's metrics.
        matches: Config path -> the values that make a cell the paper's; without any there is no verdict.
        margin: Of reproduction, in the metric's units; None for the default.
        label: Header of the printed values.
    """

    values: tuple[PrintedValue, ...]
    matches: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    margin: float | None = None
    label: str = "paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table as declared (rules 9 and 10 of the language).

    Attributes:
        evaluations: What `from` names, "test" and "train" included.
        show: "mean ± std", "mean", "median", "mean [ci95]", "iqm", "n", "min", "max", ...
        best: Mark the smallest or the largest entry, or nothing.
        within: Dimensions whose labels delimit the group that `best` is taken in.
        attributes: Column label -> selection of the description to print; key is the attribute
            ("parameters"), value the dimensions' labels that say whose.
        average_over: Dimensions that may be averaged within a seed.
        baseline: Dimension -> the label that all others are compared with; empty for no contrasts.
        contrasts: What is printed of a contrast: "difference", "interval", "p".
        paired: Whether contrasts and marks are taken seed by seed.
        test: By which test: Student's, or by flipping the signs of the seeds' differences.
        published: What a paper prints in the place of the entries, or None.
        root: Key of the document that it stands under, for messages.
    """

    name: str
    evaluations: tuple[str, ...] = ("test",)
    where: Where = field(default_factory=dict)
    rows: Axis = field(default_factory=Axis)
    columns: Axis = field(default_factory=Axis)
    metrics: tuple[str, ...] = ()
    show: str = "mean ± std"
    std: Literal["sample", "population"] = "sample"
    digits: int | None = None
    percent: bool = False
    best: Literal["min", "max"] | None = None
    within: tuple[str, ...] = ()
    fail_when: FailWhen | None = None
    missing: str = ABSENT
    attributes: Mapping[str, Where] = field(default_factory=dict)
    average_over: tuple[str, ...] = ()
    baseline: Mapping[str, str] = field(default_factory=dict)
    contrasts: tuple[str, ...] = ("difference", "p")
    paired: bool = True
    test: Literal["t", "permutation"] = "t"
    published: Published | None = None
    at: At = field(default_factory=At)
    caption: str = ""
    root: str = "tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSpec:
    """A claim as declared: a statement, and the comparison that would show it.

    Attributes:
        says: The statement, for people.
        kind: What is claimed of the columns of `table`: the first is higher or lower than the second, or
            similar to it; they rise or fall in their order; one of them is the best.
        table: What is compared: a row for each combination of labels, a column for each group.
        margin: Of "similar", in the metric's units.
        best: Label of "best", and whether the smallest or the largest is.
    """

    name: str
    says: str
    kind: Literal["higher", "lower", "similar", "rising", "falling", "best"]
    table: TableSpec
    margin: float | None = None
    best: tuple[str, Literal["min", "max"]] | None = None


PlotKind: TypeAlias = Literal[
    "lines", "bars", "points", "curves", "heatmap", "histogram", "scatter", "spread", "forest"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotSpec:
    """A plot as declared: the table whose entries it draws, and how.

    Attributes:
        kind: How entries are drawn.
        table: Rows along x (of a heat map down y), a column for each series; of a scatter a row for each
            point, with the attribute along x; of curves a row for each step. Of a forest the study's table of
            the contrasts.
        panels: Dimension with one panel for each label, first among the table's rows or columns; of a forest
            any of theirs.
        split: Which of them it is.
        series: Of a scatter: how many dimensions, after the panels', name the series.
        bins: Of a histogram.
        x_label: In place of the dimension's name.
        y_label: In place of the metric's name.
        size: One column of a paper, or both.
        notes: Whether the figure says below how its numbers came about.
    """

    name: str
    kind: PlotKind
    table: TableSpec
    panels: str | None = None
    split: Literal["rows", "columns"] = "rows"
    series: int = 0
    bins: int = 10
    scale: Literal["linear", "log"] = "linear"
    x_scale: Literal["linear", "log"] = "linear"
    x_label: str = ""
    y_label: str = ""
    size: Literal["column", "page"] = "column"
    notes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRule:
    """Resources of the cells that fit; the last rule that fits wins."""

    when: Where
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One YAML file: one question, its cells, its test-time conditions, its tables.

    Attributes:
        name: The study's name, unique in a store.
        workload: As written: a catalogue name, an entry point's name or "module:SPEC".
        config: Nested mapping; what is not said is the workload's default.
        seeds: The same in every cell; with `adaptive` the most that a cell may get.
        budget: What it may cost at most, None without a limit.
        search: How hyperparameters of its cells are chosen, None where they are as written.
        adaptive: The rule by which cells get more seeds, None when all get all.
        patches: `--set` values (dotted path -> value) that were applied last.
        document: The merged document (after `extends`, before patches) as plain data: loading it
            again gives this study.
        places: Document path ("tables.table_2.rows") -> (file, line, column).
    """

    name: str
    workload: str
    design: Design
    title: str = ""
    paper: str = ""
    notes: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    code: Literal["reuse", "warn", "rerun"] = "warn"
    seeds: tuple[int, ...] = (0,)
    adaptive: Adaptive | None = None
    budget: Budget | None = None
    search: Search | None = None
    evaluations: tuple[Evaluation, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    claims: tuple[ClaimSpec, ...] = ()
    plots: tuple[PlotSpec, ...] = ()
    resources: tuple[ResourceRule, ...] = ()
    fuse: Fuse = "never"
    patches: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)

    def table(self, name: str) -> TableSpec | None:
        """Returns the table of that name, or None."""
        return next((table for table in self.tables if table.name == name), None)

    def plot(self, name: str) -> PlotSpec | None:
        """Returns the plot of that name, or None."""
        return next((plot for plot in self.plots if plot.name == name), None)
