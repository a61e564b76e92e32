"""Tables as an HTML fragment that needs no style sheet and no script."""

from __future__ import annotations

from html import escape

from orchestrator.model.table import Entry, Table
from orchestrator.tables.layout import header_rows, plain, row_spans


def html(table: Table) -> str:
    """Returns a `<table>`: spanners as colspan, nested rows as rowspan, the best as `<strong>`.

    Those close to the best are `<u>`. Each entry carries its status as a class and n,
    failures and message as a title.
    """
    lines = ['<table class="orch-table">']
    if table.caption:
        lines.append(f"<caption>{_text(table.caption)}</caption>")
    lines += ["<thead>", *_head(table), "</thead>", "<tbody>", *_body(table), "</tbody>"]
    if table.notes:
        width = len(table.row_names) + len(table.columns)
        told = "<br>".join(_text(note) for note in table.notes)
        lines.append(f'<tfoot><tr><td colspan="{max(1, width)}">{told}</td></tr></tfoot>')
    lines.append("</table>")
    return "\n".join(lines) + "\n"


def _head(table: Table) -> list[str]:
    lines: list[str] = []
    levels = header_rows(table)
    for index, spans in enumerate(levels):
        cells: list[str] = []
        if index == len(levels) - 1:
            cells += [f'<th scope="col">{_text(name)}</th>' for name in table.row_names]
        elif table.row_names:
            cells.append(_blank(len(table.row_names)))
        for span in spans:
            if span.label == "":
                cells.append(_blank(span.width))
            elif span.width > 1:
                cells.append(f'<th scope="colgroup" colspan="{span.width}">{_text(span.label)}</th>')
            else:
                cells.append(f'<th scope="col">{_text(span.label)}</th>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return lines


def _blank(width: int) -> str:
    return f'<td colspan="{width}"></td>' if width > 1 else "<td></td>"


def _body(table: Table) -> list[str]:
    spans = [row_spans(table, level) for level in range(len(table.row_names))]
    lines: list[str] = []
    for index, (labels, entries) in enumerate(zip(table.rows, table.entries, strict=True)):
        cells: list[str] = []
        for level, label in enumerate(labels):
            height = spans[level].get(index, 0)
            if height > 1:
                cells.append(f'<th scope="rowgroup" rowspan="{height}">{_text(label)}</th>')
            elif height:
                cells.append(f'<th scope="row">{_text(label)}</th>')
        cells += [_entry(entry) for entry in entries]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return lines


def _entry(entry: Entry) -> str:
    text = _text(entry.text)
    if entry.best:
        text = f"<strong>{text}</strong>"
    elif entry.close:
        text = f"<u>{text}</u>"
    if not entry.planned:
        return f"<td>{text}</td>"
    told = [f"n={entry.n} of {entry.planned}"]
    if entry.failures:
        told.append(f"failed: {entry.failures}")
    if entry.message:
        told.append(entry.message)
    return f'<td class="{_text(entry.status)}" title="{_text("; ".join(told))}">{text}</td>'


def _text(text: str) -> str:
    return escape(plain(text), quote=True)
