"""Tables in terminals of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from orchestrator.console.tables import listing, print_tables
from orchestrator.model.table import Entry, Table

TABLE = Table(
    name="t",
    caption="A caption that is longer than a narrow terminal is wide, by far",
    row_names=("network",),
    rows=(("the first of the networks",), ("[bold]the second[/bold]",)),
    column_names=("depth",),
    columns=(("14",), ("26",), ("38",)),
    entries=tuple(
        tuple(Entry(text=f"{row}.{column}234 ± 0.5678 (1 fail)") for column in range(3)) for row in range(2)
    ),
)


@pytest.mark.parametrize("width", [20, 40, 80, 300])
@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_cut_off(width: int, terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    print_tables(console, [TABLE, TABLE])
    printed = out.getvalue()
    assert "…" not in printed
    for text in ("the first of the networks", "[bold]the second[/bold]"):
        assert printed.count(text) == 2
    for row in TABLE.entries:
        for entry in row:
            assert printed.count(entry.text) == 2
    assert console.width == width


def test_lists_fold_rather_than_cut() -> None:
    out = io.StringIO()
    Console(file=out, width=24, force_terminal=True, color_system=None).print(
        listing(["study", "results"], [("a_long_name_of_a_study", "2000/2000")])
    )
    assert "…" not in out.getvalue()
