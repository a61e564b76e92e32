"""The page of all studies."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from dashboards.desk import Desk, Patience
from dashboards.view import View
from orchestrator.app.watching import summaries


def router(desk: Desk, view: View) -> APIRouter:
    """Returns the route."""
    found = APIRouter()

    @found.get("/")
    def studies(request: Request) -> Response:
        """Shows every study of the store in one line."""
        if desk.empty:
            return view.page("empty.html", request, events="/events")
        listed = desk.ask(("/studies",), desk.pulse().mark, summaries, Patience())
        return view.page("studies.html", request, listed=listed, events="/events")

    return found
