"""What stands below a plot: how its numbers came about, and which of its points lack seeds."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.plot import Panel
from orchestrator.model.study import PlotSpec
from orchestrator.model.table import Entry, Table
from orchestrator.stats.estimate import SHOWS

_MOST = 3
_BANDS = ("lines", "curves")
HOLLOW = "Hollow"
CROSS = "×"


def notes(spec: PlotSpec, table: Table, panels: Sequence[Panel]) -> tuple[str, ...]:
    """Returns the sentences below a plot."""
    found = [entry for line in table.entries for entry in line if entry.planned]
    if not found:
        return ("Nothing is planned that this plot selects.",)
    if spec.kind == "forest":
        # Each line is a contrast of the table, which has said all about them.
        kept = ("n = ", "Values are averaged", "Seeds were added", "A seed fails", "vs. ")
        return (*(sentence for sentence in table.notes if sentence.startswith(kept)), *_lacks(found))
    told = [_count(found), _uncertainty(spec, found)]
    # What the table says of averages over draws and dimensions holds for the plot.
    told += [
        sentence
        for sentence in table.notes
        if sentence.startswith(("Values are averaged", "Seeds were added"))
    ]
    named = [
        (_name(spec, panel, row, column), entry)
        for panel in panels
        for row, line in enumerate(panel.entries)
        for column, entry in enumerate(line)
    ]
    if spec.kind == "curves":
        # A net that diverged failed at every step alike.
        named = list({name: (name, entry) for name, entry in named}.values())
    if spec.kind == "histogram":
        failures = sum(entry.failures for entry in found)
        told.append(f"{failures} failed seeds have no value." if failures else "")
        return tuple(sentence for sentence in (*told, _lacking(found)) if sentence)
    told.append(
        _list(
            "*" if spec.kind == "heatmap" else HOLLOW,
            [(n, _of(e, e.failures, "failed")) for n, e in named if is_hollow(e)],
        )
    )
    cross = "fail" if spec.kind == "heatmap" else CROSS
    told.append(_list(cross, [(n, _of(e, e.failures, "failed")) for n, e in named if is_failed(e)]))
    told.append(_lacking([entry for _, entry in named]))
    return tuple(sentence for sentence in told if sentence)


def _lacks(found: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(filter(None, [_lacking(found)]))


def is_hollow(entry: Entry) -> bool:
    """Returns whether some of an entry's seeds failed, and not so many that it has no value."""
    return entry.failures > 0 and entry.estimate is not None


def is_failed(entry: Entry) -> bool:
    """Returns whether half or more of an entry's seeds failed, so that it has no value."""
    return entry.failures > 0 and entry.estimate is None


def _count(found: Sequence[Entry]) -> str:
    least, most = min(entry.planned for entry in found), max(entry.planned for entry in found)
    numbers = f"{least}" if least == most else f"{least} to {most}"
    return f"n = {numbers} {'seed' if most == 1 else 'seeds'}."


def _uncertainty(spec: PlotSpec, found: Sequence[Entry]) -> str:
    if spec.kind in ("heatmap", "histogram"):
        cells = f"Cells: {_centre(spec)} over seeds."
        return "One value for each point and seed." if spec.kind == "histogram" else cells
    shown = SHOWS[spec.table.show]
    mark = "Band" if spec.kind in _BANDS else "Whiskers"
    if max(entry.planned for entry in found) == 1:
        return ""
    centre = f"{_centre(spec).capitalize()} over seeds"
    if not shown.uncertain:
        return f"{centre}."
    if shown.interval is None:
        return f"{centre}; {mark.lower()}: {spec.table.std} standard deviation."
    told = f"{centre}; {mark.lower()}: 95 % interval of the {shown.interval.of} ({shown.interval.method})"
    least = shown.interval.least
    lacking = any(0 < entry.n < least and entry.estimate is not None for entry in found)
    return f"{told}; none with fewer than {least} seeds." if lacking and least > 2 else f"{told}."


def _centre(spec: PlotSpec) -> str:
    names = {"iqm": "interquartile mean", "min": "smallest value", "max": "largest value"}
    shown = spec.table.show.split()[0]
    return names.get(shown, shown)


def _name(spec: PlotSpec, panel: Panel, row: int, column: int) -> str:
    labels = [panel.label, panel.rows[row], panel.columns[column]]
    if spec.kind == "curves":
        labels.pop(1)
    if spec.kind == "scatter":
        labels.pop(2)  # its rows begin with the series
    return ", ".join(label for label in labels if label) or "all"


def _of(entry: Entry, count: int, what: str) -> str:
    return f"{count} of {entry.n + entry.failures} seeds {what}"


def _list(mark: str, found: Sequence[tuple[str, str]]) -> str:
    if not found:
        return ""
    shown = "; ".join(f"{name}: {told}" for name, told in found[:_MOST])
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return f"{mark}: {shown}{more}."


def _lacking(found: Sequence[Entry]) -> str:
    lacking = [entry for entry in found if entry.planned and entry.n + entry.failures < entry.planned]
    if not lacking:
        return ""
    seeds = sum(entry.planned - entry.n - entry.failures for entry in lacking)
    points = "1 point lacks" if len(lacking) == 1 else f"{len(lacking)} points lack"
    return f"{points} results ({seeds} of {sum(entry.planned for entry in found)} seeds)."
