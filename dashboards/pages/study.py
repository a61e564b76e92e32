"""The page of one study: how far it is, its grid of cells and seeds, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from dashboards.desk import Desk
from dashboards.pages.common import Asked
from dashboards.pages.tables import Drawn, drawn
from dashboards.paging import Pages, paged
from dashboards.view import View
from orchestrator.app.watching import Board, Grid, Row
from orchestrator.model.plan import Assignment, State, TrialStatus
from orchestrator.model.table import Table

SQUARES: Final = 400  # of a page of the grid
COLUMNS: Final = 60  # seeds beside each other
NARROW: Final = 12  # so few seeds that several blocks of cells stand beside each other
TALL: Final = 12  # rows of a block, at least
PAGE: Final = 100  # trials on a page
TROUBLES: Final = 12
TABLES: Final = 6  # on the overview
OVERVIEW: Final = 80  # entries of each of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page of a grid."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    more_seeds: int
    rows: tuple[Row, ...]
    pages: Pages

    @property
    def blocks(self) -> list[tuple[Row, ...]]:
        """The rows in blocks that stand beside each other where the page is wide."""
        height = max(TALL, -(-len(self.rows) // 4)) if len(self.seeds) <= NARROW else len(self.rows)
        return [self.rows[at : at + height] for at in range(0, len(self.rows), height)]


def shown(grid: Grid, wanted: str, page: int) -> Shown:
    """Returns the rows of a grid whose cells bear a text, a page of them."""
    rows = [row for row in grid.rows if wanted.lower() in row.cell.lower()] if wanted else list(grid.rows)
    seeds = grid.seeds[:COLUMNS]
    pages = paged(len(rows), max(1, SQUARES // max(1, len(seeds))), page)
    return Shown(
        names=grid.names,
        seeds=seeds,
        more_seeds=len(grid.seeds) - len(seeds),
        rows=tuple(rows[pages.first : pages.after]),
        pages=pages,
    )


def router(desk: Desk, view: View) -> APIRouter:
    """Returns the routes."""
    found = APIRouter(prefix="/studies/{study}")

    @found.get("")
    def overview(request: Request, study: str, of: str = "test", q: str = "", page: int = 1) -> Response:
        """Shows how far a study is."""
        asked = Asked(desk, study)
        line, known, pace = asked.line(), asked.board(), asked.pace()
        built = asked.tables() if asked.declared.value is None or asked.declared.value.tables else None
        grid = None
        if known.value is not None and known.value.grids:
            of = of if of in known.value.grids else next(iter(known.value.grids))
            grid = shown(known.value.grids[of], q, page)
        return view.page(
            "study.html",
            request,
            **asked.shown(
                line=line,
                board=known,
                pace=pace,
                grid=grid,
                built=built,
                cluster=asked.cluster(),
                shown=tables_of(built.value.tables) if built is not None and built.value else [],
                of=of,
                q=q,
                troubles=TROUBLES,
            ),
        )

    @found.get("/trials")
    def trials(
        request: Request, study: str, state: str = "", of: str = "", q: str = "", page: int = 1
    ) -> Response:
        """Shows the planned observations of a study, a page of them."""
        asked = Asked(desk, study)
        known = asked.board()
        lines = _fitting(known.value, state, of, q) if known.value is not None else []
        pages = paged(len(lines), PAGE, page)
        return view.page(
            "trials.html",
            request,
            **asked.shown(
                board=known,
                lines=lines[pages.first : pages.after],
                pages=pages,
                state=state,
                of=of,
                q=q,
            ),
        )

    return found


def tables_of(tables: Sequence[Table]) -> list[Drawn]:
    """Returns tables as the overview shows them: whole when they are small, else their first rows."""
    return [drawn(table, most=OVERVIEW) for table in tables[:TABLES]]


def _fitting(board: Board, state: str, of: str, q: str) -> list[tuple[Assignment, TrialStatus]]:
    wanted = next((each for each in State if each.value == state), None)
    text = q.lower()
    return [
        (each, status)
        for each, status in board.lines
        if (wanted is None or status.state is wanted)
        and (not of or each.evaluation == of)
        and (not text or text in each.cell.lower() or each.trial.startswith(text))
    ]
