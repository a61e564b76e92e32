"""Built tables, plans and lists in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.console.text import printable, safe
from orchestrator.model.plan import Plan, State
from orchestrator.model.table import Entry, Table
from orchestrator.tables.lines import printed

WIDEST = 10_000  # no table is measured wider
STYLES = {
    "fail": "yellow",
    "error": "red",
    "blocked": "magenta",
    "pending": "dim",
    "partial": "",
    "missing": "dim",
}


def table_view(table: Table, *, bold: bool = True) -> RenderableType:
    """Returns a built table with its caption and notes for the terminal.

    Args:
        table: A built table.
        bold: Whether the output can show bold; without it the best entries get a star, and those
            that are not distinguishable from it "~".
    """
    caption = Text(printable(table.caption or table.name), style="bold")
    notes = [Text(printable(_note(note, bold)), style="dim") for note in table.notes]
    return Group(caption, _grid(table, bold), *notes)


def _grid(table: Table, bold: bool) -> RichTable:
    """Returns a table's entries under their headers: nested ones one above the other."""
    table = printed(table)
    view = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in table.row_names:
        view.add_column(safe(name), no_wrap=True)
    for labels in table.columns:
        view.add_column(safe("\n".join(labels)), justify="right", no_wrap=True)
    previous: tuple[str, ...] = ()
    for labels, entries in zip(table.rows, table.entries, strict=True):
        view.add_row(*_row_headers(labels, previous), *(_entry(entry, bold) for entry in entries))
        previous = labels
    return view


def _row_headers(labels: tuple[str, ...], previous: tuple[str, ...]) -> Iterable[Text]:
    """Yields row headers; an outer label that repeats the row above is left out."""
    same = True
    for position, label in enumerate(labels):
        same = same and position < len(previous) and previous[position] == label
        yield Text("") if same and position < len(labels) - 1 else safe(label)


def _note(note: str, bold: bool) -> str:
    if bold:
        return note
    for word, mark in (("Bold:", "*:"), ("Underlined:", "~:")):
        if note.startswith(word):
            return mark + note.removeprefix(word)
    return note


def _entry(entry: Entry, bold: bool) -> Text:
    if entry.best:
        return Text(printable(entry.text) + "*" * (not bold), style="bold")
    if entry.close:
        # The text alone: a style of the whole cell underlines its padding too.
        return Text.assemble((printable(entry.text) + "~" * (not bold), "underline" if bold else ""))
    return Text(printable(entry.text), style=STYLES.get(entry.status, ""))


def print_tables(console: Console, tables: Sequence[Table]) -> None:
    """Prints built tables, whole: in a narrow terminal long lines wrap, and nothing is cut off."""
    bold = console.is_terminal and not console.no_color
    width = console.width
    for table in tables:
        wide = console.options.update(width=WIDEST)
        try:
            console.width = max(width, console.measure(_grid(table, bold), options=wide).maximum)
            console.print(table_view(table, bold=bold))
        finally:
            console.width = width
        console.print()


def listing(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> RichTable:
    """Returns a plain list of values under headers."""
    view = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, title=title or None, title_justify="left")
    for column in columns:
        view.add_column(column, overflow="fold")  # a key or a count that is cut off would mislead
    for row in rows:
        view.add_row(*(safe(str(value)) for value in row))
    return view


def plan_view(plan: Plan, wanted: frozenset[str], *, limit: int) -> RenderableType:
    """Returns a plan's summary: counts, the first cells, notes."""
    lines: list[RenderableType] = [safe(plan_line(plan, wanted))]
    seeds: dict[str, int] = {}
    done: dict[str, int] = {}
    for assignment in plan.assignments:
        if assignment.evaluation == "test":
            seeds[assignment.cell] = seeds.get(assignment.cell, 0) + 1
            done[assignment.cell] = done.get(assignment.cell, 0) + plan.state(assignment.trial).has_result
    factors = list(dict.fromkeys(name for cell in plan.cells for name in cell.labels))
    rows = (
        [
            *(cell.labels.get(name, "–") for name in factors),
            f"{done.get(cell.name, 0)}/{seeds.get(cell.name, 0)}",
        ]
        for cell in plan.cells[:limit]
    )
    lines.append(listing([*factors, "seeds done"], rows))
    if len(plan.cells) > limit:
        lines.append(Text(f"... and {len(plan.cells) - limit} more cells (--limit 0 shows all)", style="dim"))
    lines.extend(Text(f"note: {printable(note)}", style="dim") for note in plan.notes)
    return Group(*lines)


def plan_line(plan: Plan, wanted: frozenset[str]) -> str:
    """Returns "31 cells, 222 trials: 93 trainings, 129 evaluations; 12 cached, 210 to run"."""
    trials = [trial for key, trial in plan.trials.items() if key in wanted]
    trainings = sum(trial.stage == "train" for trial in trials)
    cached = sum(plan.state(trial.key).has_result for trial in trials)
    failed = sum(plan.state(trial.key) is State.FAILED for trial in trials)
    again = f" ({failed} failed before)" if failed else ""
    tests = [each for each in plan.assignments if each.evaluation == "test" and each.trial in wanted]
    cells = len({each.cell for each in tests})
    seeds = sorted({each.seed for each in tests})
    shown = ", ".join(map(str, seeds[:10])) + (", ..." if len(seeds) > 10 else "")
    parts = [f"{trainings} trainings", f"{sum(trial.stage == 'evaluate' for trial in trials)} evaluations"]
    for stage, name in (("search", "searches"), ("tune", "candidates")):
        if count := sum(trial.stage == stage for trial in trials):
            parts.append(f"{count} {name}")
    return (
        f"{plan.study}: {cells} cells, seeds {shown}, {len(trials)} trials: {', '.join(parts)}; "
        f"{cached} cached, {len(trials) - cached} to run{again}"
    )
