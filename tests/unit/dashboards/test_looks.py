"""Colours that everybody can read, and pages that stay light."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboards.drawing import chart, ticks
from dashboards.pages.study import SQUARES, shown
from dashboards.pages.tables import ENTRIES, drawn
from orchestrator.app.entry import Curve
from orchestrator.app.watching import Grid, Row, Square
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.table import Entry, Table

STYLE = (Path(__file__).parents[3] / "dashboards" / "static" / "style.css").read_text()
TEXT = 4.5  # WCAG 2.2 AA, of letters
SIGN = 3.0  # of what is drawn: lines that tell something, borders of fields


def themes() -> dict[str, dict[str, str]]:
    """Returns theme -> variable -> colour."""
    blocks = re.findall(r"(:root[^{]*)\{([^}]*)\}", STYLE)
    found = {}
    for selector, body in blocks:
        name = {":root": "light", ':root[data-theme="dark"]': "dark"}.get(selector.strip(), "dark by system")
        found[name] = dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6})", body))
    return found


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


STATES = [state.value for state in State if state is not State.PENDING]
PAIRS = [
    *((ink, ground, TEXT) for ink in ("text", "soft", "link") for ground in ("ground", "panel", "shade")),
    *((ink, "mark-ground", TEXT) for ink in ("text", "soft", "link")),
    *((ink, ground, TEXT) for ink in ("good", "bad", "open") for ground in ("ground", "panel")),
    ("text", "bad-ground", TEXT),
    *(("on", state, TEXT) for state in STATES),
    ("on-pending", "pending", TEXT),
    *((state, "panel", SIGN) for state in STATES),
    *(("edge", ground, SIGN) for ground in ("ground", "panel", "shade")),
    ("focus", "ground", SIGN),
    ("focus", "panel", SIGN),
]


def test_black_and_white_are_as_far_apart_as_it_gets() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark", "dark by system"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS)
def test_colours_stand_out(theme: str, ink: str, ground: str, least: float) -> None:
    colours = themes()[theme]
    assert contrast(colours[ink], colours[ground]) >= least, (colours[ink], colours[ground])


def test_both_ways_to_the_dark_are_the_same() -> None:
    found = themes()
    assert found["dark"] == found["dark by system"]
    assert set(found["dark"]) == set(found["light"])


def test_no_colour_is_written_elsewhere() -> None:
    rules = re.sub(r":root[^{]*\{[^}]*\}", "", STYLE)
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", rules)) <= {"#fff"}  # paper, and the ground of a drawn plot


def test_a_page_shows_so_much_and_no_more() -> None:
    square = Square(trial=TrialKey("0" * 32), state=State.PENDING, done=0, number=1)
    rows = tuple(
        Row(cell=f"x={n}", labels=(str(n),), squares={seed: square for seed in range(80)}) for n in range(500)
    )
    grid = Grid(names=("x",), seeds=tuple(range(80)), rows=rows)
    first, last = shown(grid, "", 1), shown(grid, "", 10_000)
    assert len(first.rows) * len(first.seeds) <= SQUARES
    assert first.more_seeds == 80 - len(first.seeds)
    assert last.rows[-1] is rows[-1]
    found = shown(grid, "X=49", 1)
    assert found.pages.total == 11
    assert [row.cell for row in found.rows[:3]] == ["x=49", "x=490", "x=491"]

    entry = Entry(text="1.0 ± 0.1", n=3, planned=3)
    table = Table(
        name="wide",
        row_names=("outer", "inner"),
        rows=tuple((str(n // 40), str(n)) for n in range(200)),
        column_names=("c",),
        columns=tuple((str(n),) for n in range(50)),
        entries=((entry,) * 50,) * 200,
    )
    pages = [drawn(table, number) for number in range(1, drawn(table).pages.of + 1)]
    assert [row for page in pages for row in page.rows] == list(range(200))
    for page in pages:
        assert len(page.rows) * 50 <= ENTRIES
        # Every row is below a header of each level, also where a page begins amid one.
        for heights in page.heights:
            assert sum(heights.values()) == len(page.rows)
            assert page.rows.start in heights


def test_ticks_are_round_and_few() -> None:
    assert ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0.047, 0.192) == pytest.approx([0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18])
    assert ticks(3, 3) == [3]
    assert len(ticks(-1e9, 1e9)) <= 9


def test_curves_are_drawn_with_few_points_and_a_mean_where_all_have_values() -> None:
    long = Curve(trial=TrialKey("a"), seed=0, points=tuple((n, 1 / n) for n in range(1, 10_001)))
    cut = Curve(trial=TrialKey("b"), seed=1, points=tuple((n, 2 / n) for n in range(1, 5_001)))
    both = chart("loss", [long, cut], alike=True)
    assert max(len(line.points.split()) for line in both.lines) <= 160
    assert 10 < len(both.mean.split()) <= 80  # to where the shorter one ends
    assert chart("loss", [long, cut], alike=False).mean == ""
    flat = chart("loss", [Curve(trial=TrialKey("c"), seed=0, points=((1, 0.5),))], alike=True)
    assert "nan" not in flat.lines[0].points
