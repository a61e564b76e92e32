"""The table of what searches chose: values, how much each matters, and how far apart the candidates are."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Final

from orchestrator.model.search import TABLE, Candidate, Ending, Search, Tuned, Value
from orchestrator.model.table import Entry, Table

_DIGITS = 4
_ENDS: Final[tuple[Ending, ...]] = ("complete", "pruned", "diverged", "failed")


def tuned_table(search: Search, found: Sequence[Tuned]) -> Table:
    """Returns one line for each search.

    Args:
        search: As declared.
        found: What the searches have come to, in order.
    """
    paths = [each.path for each in search.space]
    short = _short(paths)
    ended = [name for name in _ENDS if name == "complete" or _some(found, name)]
    columns = [
        *short,
        *(f"importance of {name}" for name in short if len(short) > 1),
        *("best", "median", "worst"),
        *ended,
    ]
    return Table(
        name=TABLE,
        caption="What the searches chose",
        row_names=("search",),
        rows=tuple((each.label,) for each in found),
        column_names=("",),
        columns=tuple((name,) for name in columns),
        entries=tuple(tuple(_entries(each, paths, ended)) for each in found),
        notes=_notes(search),
    )


def _short(paths: Sequence[str]) -> list[str]:
    """Returns the last word of each path, or the whole where two would be called the same."""
    last = [path.rpartition(".")[2] for path in paths]
    return [name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)]


def _some(found: Sequence[Tuned], name: Ending) -> bool:
    return any(candidate.ended == name for each in found for candidate in each.candidates)


def _notes(search: Search) -> list[str]:
    which = "least" if search.best == "min" else "largest"
    notes = [
        f"{search.trials} candidates each by {search.sampler}, {search.parallel} at a time, sampler seed "
        f"{search.seed}; the {which} last {search.metric} is chosen; best, median, worst: of complete ones.",
        "Candidates train on seeds of their own, which no table reports, and never see the test split.",
    ]
    if len(search.space) > 1:
        notes.append("importance: share of what makes a candidate one of the best tenth (PED-ANOVA).")
    if search.pruner.name != "none":
        notes.append(f"pruned: ended early by {search.pruner.name}, and not judged.")
    return notes


def _entries(found: Tuned, paths: Sequence[str], ends: Sequence[Ending]) -> list[Entry]:
    chosen, values = found.chosen, sorted(each.value for each in found.candidates if each.value is not None)
    waits = Entry(text="–", status="error" if found.state.final and chosen is None else "pending")
    entries = [waits if chosen is None else _chosen(chosen.values[path], chosen) for path in paths]
    for path in paths if len(paths) > 1 else ():
        share = found.importance.get(path)
        entries.append(Entry(text="–", status="missing") if share is None else _figure(share, f"{share:.0%}"))
    if not values:
        entries += [waits] * 3
    else:
        ordered = values if found.search.best == "min" else values[::-1]
        for value in (ordered[0], statistics.median(values), ordered[-1]):
            entries.append(_figure(value, f"{value:.{_DIGITS}g}", n=len(values)))
    ended = Counter(each.ended for each in found.candidates)
    for name in ends:
        entries.append(_figure(float(ended[name]), str(ended[name])))
    return entries


def _chosen(value: Value, candidate: Candidate) -> Entry:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    text = f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)
    return Entry(text=text, estimate=number, n=1, planned=1, trials=candidate.trials)


def _figure(value: float, text: str, *, n: int = 0) -> Entry:
    return Entry(text=text, estimate=value, n=n, planned=n)


def tuned_note(search: Search) -> str:
    """Returns what stands below every table of a study that searches."""
    paths = ", ".join(each.path for each in search.space)
    of = f"each {', '.join(search.by)}" if search.by else ("all cells" if search.by == () else "each cell")
    return f"{paths} of {of}: the best of {search.trials} candidates on {search.metric} (table {TABLE})."
