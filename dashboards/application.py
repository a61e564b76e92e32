"""The application: its pages, its static files, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from dashboards.desk import Desk
from dashboards.guard import Access
from dashboards.pages import control, findings, live, studies, study, tables, trials
from dashboards.view import Links, View
from orchestrator.app.metrics import CONTENT_TYPE, DOWN, samples
from orchestrator.app.metrics import text as exposed
from orchestrator.errors import HeldError, NotFoundError, OrchError, UsageError

STATIC: Final = Path(__file__).with_name("static")
KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def application(desk: Desk, access: Access, links: Links, ending: Callable[[], bool]) -> FastAPI:
    """Returns the pages of a store, without the guard in front of them.

    Args:
        desk: Answers about the store.
        access: What opens the pages; forms bear a value made from it.
        links: Where MLflow and Ray show the same, if anywhere.
        ending: Whether the server is about to stop: streams end then.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    view = View(desk=desk, access=access, links=links)
    for room in (studies, study, tables, findings, control, trials):
        app.include_router(room.router(desk, view))
    app.include_router(live.router(desk, ending))

    @app.get("/metrics")
    def metrics() -> Response:
        """Returns what monitoring collects."""
        try:
            text = exposed(samples(desk.session))
        except OrchError:
            text = exposed(DOWN)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    @app.get("/favicon.ico")
    def icon() -> Response:
        """Returns the icon, which browsers ask for by themselves."""
        return static("icon.svg")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        """Returns one of our own files."""
        found = static_files().get(name)
        if found is None:
            raise HTTPException(404)
        kind, content = found
        return Response(content, media_type=kind, headers={"cache-control": "private, max-age=600"})

    @app.exception_handler(OrchError)
    def told(request: Request, error: OrchError) -> Response:
        """Returns an error's message as a page."""
        status = next(
            (code for kind, code in _STATUS if isinstance(error, kind)),
            500 if error.exit_code == 1 else 503,
        )
        return view.page("error.html", request, status=status, message=str(error))

    @app.exception_handler(OSError)
    def failing(request: Request, error: OSError) -> Response:
        """Returns the message of a failing disk."""
        return view.page("error.html", request, status=503, message=str(error))

    @app.exception_handler(HTTPException)
    def missing(request: Request, error: HTTPException) -> Response:
        """Returns a page for an address that nothing is at."""
        message = "There is no such page." if error.status_code == 404 else str(error.detail)
        return view.page("error.html", request, status=error.status_code, message=message)

    @app.exception_handler(RequestValidationError)
    def unreadable(request: Request, error: RequestValidationError) -> Response:
        """Returns a page for an address that cannot be read."""
        wrong = ", ".join(str(each["loc"][-1]) for each in error.errors())
        return view.page("error.html", request, status=400, message=f"This address cannot be read: {wrong}.")

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        """Returns a page for a fault of ours; the traceback goes to the terminal."""
        told = "This page could not be made: a fault of orch's own. The terminal of orch ui shows it."
        return view.page("error.html", request, status=500, message=told)

    return app


_STATUS: Final = ((NotFoundError, 404), (HeldError, 409), (UsageError, 400))


@cache
def static_files() -> dict[str, tuple[str, bytes]]:
    """Returns name -> kind and content of our own files."""
    return {
        path.name: (KINDS[path.suffix], path.read_bytes())
        for path in STATIC.iterdir()
        if path.suffix in KINDS
    }
