"""Tables as they fill, and what stands behind an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from dashboards.desk import Desk
from dashboards.drawing import chart, strips
from dashboards.pages.common import Asked, known
from dashboards.paging import Pages, paged
from dashboards.view import View
from orchestrator.app import entry as entries
from orchestrator.app.results import render_all
from orchestrator.errors import NotFoundError
from orchestrator.model.table import Table

ENTRIES: Final = 500  # of a page of a table
FORMS: Final = {"md": "text/markdown", "latex": "text/x-tex", "csv": "text/csv", "json": "application/json"}
ENDINGS: Final = {"md": "md", "latex": "tex", "csv": "csv", "json": "json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A table, or a page of its rows, ready to be written as HTML.

    Attributes:
        head: Header rows, outermost first.
        heights: For each level of row headers: row -> how many rows of this page its label spans.
    """

    table: Table
    head: list[list[object]]
    heights: list[dict[int, int]]
    pages: Pages

    @property
    def rows(self) -> range:
        """The numbers of the rows that are shown."""
        return range(self.pages.first, self.pages.after)


def drawn(table: Table, page: int = 1, most: int = ENTRIES) -> Drawn:
    """Returns a page of a table."""
    pages = paged(len(table.rows), max(1, most // max(1, len(table.columns))), page)
    heights = []
    for spans in entries.row_heights(table):
        cut: dict[int, int] = {}
        for first, height in spans.items():
            begin, end = max(first, pages.first), min(first + height, pages.after)
            if end > begin:
                cut[begin] = end - begin
        heights.append(cut)
    head: list[list[object]] = [list(line) for line in entries.header_lines(table)]
    return Drawn(table=table, head=head, heights=heights, pages=pages)


def router(desk: Desk, view: View) -> APIRouter:
    """Returns the routes."""
    found = APIRouter(prefix="/studies/{study}/tables")

    @found.get("")
    def tables(request: Request, study: str) -> Response:
        """Shows all tables of a study."""
        asked = Asked(desk, study)
        built = asked.tables()
        shown = [drawn(table, most=200) for table in built.value.tables] if built.value else []
        return view.page("tables.html", request, **asked.shown(built=built, shown=shown))

    @found.get("/{table}")
    def table(request: Request, study: str, table: str, page: int = 1) -> Response:
        """Shows one table, a page of its rows."""
        asked = Asked(desk, study)
        built = asked.tables()
        value = known(built, "the tables cannot be built")
        shown = drawn(value.one(table), page) if value else None
        return view.page("table.html", request, **asked.shown(built=built, name=table, one=shown))

    @found.get("/{table}/as/{form}")
    def file(study: str, table: str, form: str) -> Response:
        """Returns a whole table in a file format."""
        if form not in FORMS:
            raise NotFoundError(f"no format {form!r}; there are: {', '.join(FORMS)}")
        built = Asked(desk, study).tables()
        value = known(built, "the tables cannot be built")
        if value is None:
            return PlainTextResponse("being built; ask again", status_code=503, headers={"retry-after": "1"})
        text = render_all([value.one(table)], form)
        return Response(
            text,
            media_type=f"{FORMS[form]}; charset=utf-8",
            headers={"content-disposition": f'inline; filename="{study}.{table}.{ENDINGS[form]}"'},
        )

    @found.get("/{table}/entry")
    def entry(
        request: Request,
        study: str,
        table: str,
        r: Annotated[list[str], Query()] = [],  # noqa: B006 - read by the framework, never changed
        c: Annotated[list[str], Query()] = [],  # noqa: B006
    ) -> Response:
        """Shows what stands behind one entry."""
        asked = Asked(desk, study)
        built = asked.tables()
        value = known(built, "the tables cannot be built")
        if value is None or asked.declared.value is None:
            return view.page("entry.html", request, **asked.shown(built=built, name=table, inside=built))
        of = value.one(table)
        at = entries.find(of, r, c)
        held = of.entries[at.row][at.column]
        declared = asked.declared.value
        inside = asked.now(
            ("entry", table, *r, "|", *c), lambda session: entries.inside(session, declared, of, at)
        )
        factor = entries.factor(declared, of, entries.metric_of(declared, of, at))
        charts = []
        if inside.value is not None:
            networks = inside.value.networks
            charts = [
                chart(
                    metric,
                    curves,
                    alike=networks.alike,
                    factor=entries.factor(declared, of, metric),
                )
                for metric, curves in networks.curves.items()
            ]
        return view.page(
            "entry.html",
            request,
            **asked.shown(
                built=built,
                name=table,
                table=of,
                at=at,
                entry=held,
                inside=inside,
                strips=strips(entries.neighbours(declared, of, at), at, factor),
                factor=factor,
                charts=charts,
                values=dict(held.values),
                latex=entries.latex_entry(held),
            ),
        )

    return found
