"""From a template and what it shows to an answer; all text escaped, control characters made visible."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards.desk import Answer, Desk
from dashboards.guard import Access
from dashboards.text import FILTERS, inert, query
from orchestrator import __version__
from orchestrator.model.plan import State

TEMPLATES: Final = Path(__file__).with_name("templates")
# A state is told by its mark and its word, never by its colour alone.
MARKS: Final[Mapping[State, str]] = {
    State.SUCCEEDED: "✓",
    State.RUNNING: "▶",
    State.PENDING: "·",
    State.FAILED: "✕",
    State.DIVERGED: "≈",
    State.BLOCKED: "⊘",
    State.CANCELLED: "–",
}
# Along a bar: what is done first, what is left last.
ALONG: Final = (
    *(State.SUCCEEDED, State.DIVERGED, State.FAILED, State.BLOCKED, State.CANCELLED),
    *(State.RUNNING, State.PENDING),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where other programs show the same; empty where they do not.

    Attributes:
        mlflow: Address of an MLflow server.
        ray: Address of a Ray dashboard.
    """

    mlflow: str = ""
    ray: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The templates, and what all pages show."""

    desk: Desk
    access: Access
    links: Links
    engine: Environment = field(init=False)

    def __post_init__(self) -> None:
        engine = Environment(
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=inert,
            loader=FileSystemLoader(TEMPLATES),
        )
        engine.filters.update(FILTERS)
        engine.globals.update(
            query=query, marks=MARKS, along=ALONG, states=list(State), version=__version__, links=self.links
        )
        for name in engine.list_templates():
            engine.get_template(name)  # compiled now rather than with the first page that needs it
        object.__setattr__(self, "engine", engine)

    def page(self, template: str, request: Request, *, status: int = 200, **shown: Any) -> Response:
        """Returns a page.

        Args:
            template: Its file.
            request: What is answered.
            status: Of the answer.
            shown: What the template shows; of each `Answer` it is noted whether a newer one is due.
        """
        stale = any(isinstance(each, Answer) and each.stale for each in shown.values())
        # Two tabs must not share what the other's page could be made to send.
        nonce = secrets.token_hex(8)
        text = self.engine.get_template(template).render(
            path=request.url.path,
            here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            store=str(self.desk.settings.store),
            stale=stale,
            form=f"{nonce}.{self.access.derived(f'form {nonce}')}",
            **{"study": "", "events": "", **shown},
        )
        return HTMLResponse(text, status_code=status)

    def from_form(self, given: str) -> bool:
        """Returns whether a value is one that a form of ours bears."""
        nonce, _, proof = given.partition(".")
        return bool(nonce) and self.access.shown(proof, f"form {nonce}")
