"""What renderers share: header rows with spanners, and text without control characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model.table import Table

# C0, DEL, C1, line and paragraph separators, and the marks that reverse the direction of text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A header over several columns: its label, its first column and how many it spans."""

    label: str
    start: int
    width: int


def plain(text: str) -> str:
    """Returns text on one line: control characters become a space."""
    return _CONTROL.sub(" ", text)


def header_rows(table: Table) -> list[list[Span]]:
    """Returns the header rows, outermost first; equal neighbours below one spanner are joined.

    The innermost row has one header for each column.
    """
    depth = len(table.columns[0]) if table.columns else 0
    rows: list[list[Span]] = []
    for level in range(depth):
        spans: list[Span] = []
        for index, labels in enumerate(table.columns):
            joined = (
                spans
                and level < depth - 1
                and labels[level] != ""
                and table.columns[index - 1][: level + 1] == labels[: level + 1]
            )
            if joined:
                last = spans[-1]
                spans[-1] = Span(label=last.label, start=last.start, width=last.width + 1)
            else:
                spans.append(Span(label=labels[level], start=index, width=1))
        rows.append(spans)
    return rows


def row_spans(table: Table, level: int) -> dict[int, int]:
    """Returns row -> how many rows its header of that level spans, for the first row of each span."""
    spans: dict[int, int] = {}
    first = 0
    for index, labels in enumerate(table.rows):
        innermost = level == len(labels) - 1
        if index == 0 or innermost or table.rows[index - 1][: level + 1] != labels[: level + 1]:
            first = index
        spans[first] = spans.get(first, 0) + 1
    return spans


def flat(labels: Sequence[str]) -> str:
    """Returns nested labels as one: "CIFAR-10 / ResNet"."""
    return " / ".join(label for label in labels if label)
