"""A table as it is printed: below each row the lines that tell more about its entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.model.table import Entry, Table


def printed(table: Table) -> Table:
    """Returns the table with lines of contrasts, printed values and verdicts below each row that has any.

    The lines get a row header of their own, innermost. A table that has none of them stays as it is.
    """
    below: list[tuple[str, Callable[[Entry], str]]] = []
    if table.contrast_line:
        below.append((table.contrast_line, lambda entry: entry.contrast.text if entry.contrast else ""))
    if table.printed_line:
        below.append((table.printed_line, lambda entry: entry.printed.text if entry.printed else ""))
        below.append(("verdict", lambda entry: entry.printed.verdict if entry.printed else ""))
    if not below:
        return table
    rows: list[tuple[str, ...]] = []
    entries: list[tuple[Entry, ...]] = []
    for labels, line in zip(table.rows, table.entries, strict=True):
        rows.append((*labels, table.show))
        entries.append(line)
        for header, text_of in below:
            texts = [text_of(entry) for entry in line]
            if any(texts):
                rows.append((*labels, header))
                entries.append(tuple(Entry(text=text) for text in texts))
    return replace(table, row_names=(*table.row_names, ""), rows=tuple(rows), entries=tuple(entries))
