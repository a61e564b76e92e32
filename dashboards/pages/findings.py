"""What a study comes to, and what it is: claims, plots, the design; and two of anything compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from dashboards.desk import Desk, Patience
from dashboards.pages.common import Asked, known
from dashboards.view import View
from orchestrator.app.claims import try_claims
from orchestrator.app.diff import KINDS, Line, diff, surroundings
from orchestrator.app.plots import svg_text, try_plots
from orchestrator.app.report import study_text
from orchestrator.app.results import study_of
from orchestrator.app.session import Session
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.model.claim import Judged
from orchestrator.model.run import Submission

# A picture of its own has a style sheet of its own, and nothing else.
PICTURE: Final = "default-src 'none'; style-src 'unsafe-inline'"
_TRIAL: Final = re.compile(r"[0-9a-f]{4,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Judged claims, and why others cannot be judged."""

    judged: Sequence[Judged]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawn plot; its mark is another one when its bytes are."""

    name: str
    caption: str
    notes: Sequence[str]
    svg: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Drawn plots, and why others cannot be drawn."""

    plots: Sequence[Picture]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a study's numbers come from."""

    submissions: Sequence[Submission]
    document: str
    made: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two sides and the lines in which they differ, by kind."""

    one: str
    other: str
    lines: dict[str, list[Line]]


def router(desk: Desk, view: View) -> APIRouter:
    """Returns the routes."""
    found = APIRouter()

    @found.get("/studies/{study}/claims")
    def claims(request: Request, study: str) -> Response:
        """Shows what the results say of a study's claims."""
        asked = Asked(desk, study)
        judged = asked.now(("claims",), lambda session: _claims(session, study))
        return view.page("claims.html", request, **asked.shown(judged=judged))

    def pictures(asked: Asked) -> object:
        return asked.now(("plots",), lambda session: _pictures(session, asked.study))

    @found.get("/studies/{study}/plots")
    def plots(request: Request, study: str) -> Response:
        """Shows a study's plots."""
        asked = Asked(desk, study)
        return view.page("plots.html", request, **asked.shown(drawn=pictures(asked)))

    @found.get("/studies/{study}/plots/{plot}.svg")
    def plot(study: str, plot: str) -> Response:
        """Returns one plot."""
        asked = Asked(desk, study)
        drawn: Pictures | None = known(
            asked.now(("plots",), lambda session: _pictures(session, study)), "the plots cannot be drawn"
        )
        for each in drawn.plots if drawn is not None else ():
            if each.name == plot:
                headers = {"content-security-policy": PICTURE}
                return Response(each.svg, media_type="image/svg+xml", headers=headers)
        raise NotFoundError(f"study {study!r} has no plot {plot!r} that is drawn")

    @found.get("/studies/{study}/design")
    def design(request: Request, study: str) -> Response:
        """Shows what a study asks for, and where its results come from."""
        asked = Asked(desk, study)
        origin = asked.now(("origin",), lambda session: _origin(session, study))
        return view.page("design.html", request, **asked.shown(origin=origin))

    @found.get("/compare")
    def compare(request: Request, one: str = "", other: str = "") -> Response:
        """Shows in what two studies, cells or trials differ."""
        names = [each.study for each in desk.session.registry.studies()] if not desk.empty else []
        compared = None
        if one and other:
            for text in (one, other):
                _check(text, names)
            compared = desk.ask(
                ("/compare", one, other),
                desk.pulse().mark,
                lambda session: _compared(session, one, other),
                Patience(),
            )
        return view.page(
            "compare.html",
            request,
            names=names,
            one=one,
            other=other,
            compared=compared,
            kinds=KINDS,
        )

    return found


def _check(text: str, names: Sequence[str]) -> None:
    """Lets nothing through that would be read as the name of a file of this machine.

    Raises:
        UsageError: It names neither a recorded study, nor a cell of one, nor a trial.
    """
    if text.partition(":")[0] not in names and not _TRIAL.fullmatch(text):
        raise UsageError(
            f"{text!r} is no study of this store, no cell (STUDY:FACTOR=LABEL,...) and no beginning of a "
            "trial's key"
        )


def _compared(session: Session, one: str, other: str) -> Compared:
    left, right, lines = diff(session, one, other)
    by_kind: dict[str, list[Line]] = {}
    for line in lines:
        by_kind.setdefault(line.kind, []).append(line)
    return Compared(one=left.name, other=right.name, lines=by_kind)


def _claims(session: Session, study: str) -> Claims:
    judged, problems = try_claims(session, study_of(session, study))
    return Claims(judged=judged, problems=[each.message for each in problems])


def _pictures(session: Session, study: str) -> Pictures:
    plots, problems = try_plots(session, study_of(session, study))
    found = []
    for each in plots:
        svg = svg_text(each)
        found.append(
            Picture(
                name=each.spec.name,
                caption=each.caption or each.spec.name,
                notes=each.notes,
                svg=svg,
                mark=hashlib.sha256(svg.encode()).hexdigest()[:12],
            )
        )
    return Pictures(plots=found, problems=[each.message for each in problems])


def _origin(session: Session, study: str) -> Origin:
    return Origin(
        submissions=session.registry.submissions(study),
        document=study_text(study_of(session, study)),
        made=surroundings(session, sorted(session.registry.keys(study))),
    )
