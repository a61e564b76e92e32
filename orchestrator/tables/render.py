"""Renders a table as text: one pure function a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.errors import UsageError
from orchestrator.model.table import Table
from orchestrator.tables.lines import printed
from orchestrator.tables.render_html import html
from orchestrator.tables.render_latex import latex
from orchestrator.tables.render_text import csv_text, json_text, markdown

# JSON has what is known of an entry beside it; the others print it below.
WHOLE = ("json",)
FORMATS: Mapping[str, Callable[[Table], str]] = {
    "md": markdown,
    "latex": latex,
    "csv": csv_text,
    "html": html,
    "json": json_text,
}


def render(table: Table, format: str) -> str:
    """Returns the table as text that ends with a newline; equal tables give equal bytes.

    Args:
        table: A built table.
        format: "md", "latex" (needs booktabs), "csv" (printed texts), "html" (a fragment that stands alone)
            or "json" (everything; see `render_text.json_text`).

    Raises:
        UsageError: An unknown format.
    """
    if format not in FORMATS:
        raise UsageError(f"table format: got {format!r}, allowed are {', '.join(FORMATS)}")
    return FORMATS[format](table if format in WHOLE else printed(table))
