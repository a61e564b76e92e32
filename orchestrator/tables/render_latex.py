"""Tables as LaTeX, with booktabs rules."""

from __future__ import annotations

import re

from orchestrator.model.table import Entry, Table
from orchestrator.tables.layout import Span, header_rows, plain, row_spans

# Brackets and stars would be taken for an argument of a preceding "\\"; "-" twice would become a dash.
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
}
_ANY = re.compile("--+|" + "|".join(re.escape(character) for character in _SPECIAL))
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def latex(table: Table) -> str:
    r"""Returns a `table` environment: spanners as \multicolumn over \cmidrule, the best as \textbf, those
    close to it as \underline.

    Needs `\usepackage{booktabs}`.
    """
    labels = len(table.row_names)
    lines = [r"\begin{table}", r"\centering"]
    if table.caption:
        lines.append(rf"\caption{{{escape(table.caption)}}}")
    # The study language allows letters, digits, ".", "_" and "-" in names: a label takes them as they are.
    lines.append(rf"\label{{tab:{re.sub('[^A-Za-z0-9._-]', '-', table.name)}}}")
    lines.append(rf"\begin{{tabular}}{{{'l' * labels}{'r' * len(table.columns) or 'r'}}}")
    lines += [r"\toprule", *_head(table), r"\midrule", *_body(table), r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        told = r" \\ ".join(escape(note) for note in table.notes)
        lines += ["", r"\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {told}}}"]
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    r"""Returns text in which no character has a meaning for LaTeX; "-" before a digit is a minus sign."""
    parts = _MINUS.split(plain(text))
    return "$-$".join(_ANY.sub(_replacement, part) for part in parts)


def _replacement(found: re.Match[str]) -> str:
    text = found[0]
    return _SPECIAL[text] if text in _SPECIAL else "{}".join(text)


def _head(table: Table) -> list[str]:
    lines: list[str] = []
    levels = header_rows(table)
    offset = len(table.row_names)
    for index, spans in enumerate(levels):
        if index == len(levels) - 1:
            names = [escape(name) for name in table.row_names]
            lines.append(_line([*names, *(escape(span.label) for span in spans)]))
            continue
        lines.append(_line([*[""] * offset, *(_spanner(span) for span in spans)]))
        rules = (
            rf"\cmidrule(lr){{{offset + span.start + 1}-{offset + span.start + span.width}}}"
            for span in spans
            if span.label
        )
        lines.append(" ".join(rules))
    return lines


def _spanner(span: Span) -> str:
    if not span.label:
        return " & ".join([""] * span.width)
    return rf"\multicolumn{{{span.width}}}{{c}}{{{escape(span.label)}}}"


def _body(table: Table) -> list[str]:
    spans = [row_spans(table, level) for level in range(len(table.row_names))]
    lines: list[str] = []
    for index, (labels, entries) in enumerate(zip(table.rows, table.entries, strict=True)):
        headers = [escape(label) if index in spans[level] else "" for level, label in enumerate(labels)]
        lines.append(_line([*headers, *(entry_text(entry) for entry in entries)]))
    return lines


def entry_text(entry: Entry) -> str:
    """Returns one entry, marked."""
    text = escape(entry.text)
    if entry.close and text:
        return rf"\underline{{{text}}}"
    return rf"\textbf{{{text}}}" if entry.best and text else text


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
