"""Tables as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import asdict
from typing import Any

from orchestrator.model.table import Entry, Table
from orchestrator.tables.layout import flat, plain

# Everything that GitHub's Markdown gives a meaning inside a table; "[" needs no escape where no "]" is
# followed by what makes a link, and "_" none between letters, so that numbers and metric names stay legible.
_MARKDOWN = re.compile(r"[\\`*|~$#]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

# What spreadsheets take for a formula.
_FORMULA = re.compile(r"^\s*[=+\-@]")
_NUMBER = re.compile(r"[-+]\d+(\.\d+)?( ± [\d.–]+)?( \[[-+\d., –]+\])?( \([a-z0-9=/<., ]+\))?")


def markdown(table: Table) -> str:
    """Returns a GitHub Markdown table, the caption above and the notes below it."""
    width = len(table.row_names)
    head = [escape(name) for name in table.row_names]
    head += [escape(flat(labels)) for labels in table.columns]
    lines: list[str] = []
    if table.caption:
        lines += [f"**{escape(table.caption)}**", ""]
    if head:
        lines.append(f"| {' | '.join(head)} |")
        lines.append(f"|{'|'.join([' :-- '] * width + [' --: '] * len(table.columns))}|")
    for labels, entries in zip(table.rows, table.entries, strict=True):
        cells = [escape(label) for label in labels] + [_markdown_entry(entry) for entry in entries]
        lines.append(f"| {' | '.join(cells)} |")
    if table.notes:
        lines += ["", *(f"- {escape(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _markdown_entry(entry: Entry) -> str:
    text = escape(entry.text)
    if entry.close and text:
        return f"<ins>{text}</ins>"  # which GitHub shows as underlined, and keeps
    return f"**{text}**" if entry.best and text else text


def escape(text: str) -> str:
    """Returns a text as Markdown that shows it as it is, on one line."""
    text = re.sub(r"[&<>]", lambda found: _ENTITIES[found[0]], plain(text).strip())
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", text)


def csv_text(table: Table) -> str:
    """Returns the printed texts as CSV: a column for each row header, then one for each column.

    UTF-8, line feeds, a comma, quotes where needed. A text that a spreadsheet would take for a
    formula is preceded by an apostrophe; negative numbers are not.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_cell(text) for text in (*table.row_names, *map(flat, table.columns))])
    for labels, entries in zip(table.rows, table.entries, strict=True):
        writer.writerow([_cell(text) for text in (*labels, *(entry.text for entry in entries))])
    return buffer.getvalue()


def _cell(text: str) -> str:
    text = plain(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def json_text(table: Table) -> str:
    """Returns everything a table knows as JSON.

    {"name", "caption", "row_names": [..], "rows": [[label, ..], ..], "column_names", "columns", "notes",
    "entries": [[{"text", "estimate", "spread", "interval": [low, high] or null, "n", "planned", "failures",
    "best", "status", "message", "values": [{"seed", "value"}, ..], "trials": [key, ..]}, ..], ..]}.
    An entry that is not distinguishable from the best has "close": true, one that is compared with a
    baseline "contrast": {"text", "difference", "interval", "p", "corrected", "n", "effect"}, one that a paper
    prints "published": {"text", "value", "std", "n", "difference", "interval", "margin", "verdict"}.
    Numbers are in natural units (fractions), texts as printed; unknown numbers are null, never NaN.
    """
    document = {
        "name": table.name,
        "caption": table.caption,
        "row_names": table.row_names,
        "rows": table.rows,
        "column_names": table.column_names,
        "columns": table.columns,
        "entries": [[_entry(entry) for entry in line] for line in table.entries],
        "notes": list(table.notes),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _entry(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {
        "text": entry.text,
        "estimate": entry.estimate,
        "spread": entry.spread,
        "interval": entry.interval,
        "n": entry.n,
        "planned": entry.planned,
        "failures": entry.failures,
        "best": entry.best,
        "status": entry.status,
        "message": entry.message,
        "values": [{"seed": seed, "value": value} for seed, value in entry.values],
        "trials": entry.trials,
    }
    if entry.close:
        document["close"] = True
    if entry.contrast is not None:
        document["contrast"] = asdict(entry.contrast)
    if entry.printed is not None:
        document["published"] = asdict(entry.printed)
    return document
