"""The only pages that change anything: cancel and resume, each behind a page that asks."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from dashboards.desk import Desk
from dashboards.pages.common import Asked, known
from dashboards.text import log_text
from dashboards.view import View
from orchestrator.app import control
from orchestrator.app.inspect import cancel
from orchestrator.errors import HeldError, UsageError

TAIL: Final = 200  # lines of a driver's output
WIDEST: Final = 2000  # characters of a line


async def fields(request: Request) -> dict[str, str]:
    """Returns what a form sent."""
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(413, "A form has a few hundred bytes.") from None
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


Form = Annotated[dict[str, str], Depends(fields)]


def router(desk: Desk, view: View) -> APIRouter:
    """Returns the routes."""
    found = APIRouter(prefix="/studies/{study}")

    def own(form: dict[str, str]) -> None:
        if not view.from_form(form.get("form", "")):
            raise HTTPException(
                403, "This form is not of this page, or orch ui was started anew: load it again."
            )

    def staked(study: str, trial: str = "") -> dict[str, Any]:
        """Returns what a page that asks shows: of a large study it takes a moment."""
        asked = Asked(desk, study)
        if trial:
            return {"study": study, "stake": control.stake(desk.session, study, trial)}
        found = asked.now(("stake",), lambda session: control.stake(session, study))
        return {"study": study, "stake": known(found, "this cannot be asked"), "answer": found}

    def back(study: str, trial: str = "") -> Response:
        return RedirectResponse(f"/trials/{trial}" if trial else f"/studies/{study}", status_code=303)

    @found.get("/cancel")
    def ask_cancel(request: Request, study: str, trial: str = "") -> Response:
        """Asks whether a study, or one trial, is to be cancelled."""
        return view.page("cancel.html", request, trial=trial, **staked(study, trial))

    @found.post("/cancel")
    def do_cancel(study: str, form: Form) -> Response:
        """Cancels it."""
        own(form)
        desk.study(study)
        cancel(desk.session, study, trial=form.get("trial", ""), anybodys=form.get("anybodys") == "yes")
        return back(study, form.get("trial", ""))

    @found.get("/resume")
    def ask_resume(request: Request, study: str) -> Response:
        """Asks whether a study is to be resumed."""
        return view.page("resume.html", request, **staked(study))

    @found.post("/resume")
    def do_resume(study: str, form: Form) -> Response:
        """Resumes it."""
        own(form)
        desk.study(study)
        stake = control.stake(desk.session, study)
        if stake.driver is not None:
            raise HeldError(
                f"{study} is driven already, by process {stake.driver.pid} on {stake.driver.host}"
            )
        if stake.owner and form.get("anybodys") != "yes":
            raise UsageError(f"{study} was submitted by {stake.owner}: say that you mean it")
        control.resume_apart(
            desk.session,
            study,
            failed=form.get("failed") == "yes",
            include_cancelled=form.get("cancelled") == "yes",
        )
        return RedirectResponse(f"/studies/{study}/driver", status_code=303)

    @found.get("/driver")
    def driver(request: Request, study: str) -> Response:
        """Shows what the driver that was started from here has printed."""
        desk.study(study)
        text = log_text(control.driver_text(desk.session, study))
        lines = [line[:WIDEST] for line in text.splitlines()[-TAIL:]]
        return view.page(
            "driver.html",
            request,
            study=study,
            lines=lines,
            driver=desk.session.registry.driver(study),
            events=f"/studies/{study}/events",
        )

    return found
