"""A page that is really served, and requests with any headers."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from dashboards.serve import Page, Place, prepare
from dashboards.view import Links
from orchestrator.settings import Settings
from tests.street.orch import Orch, until


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a reader sees, on one line."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.text).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Asks a page; with its token, unless told otherwise."""

    page: Page

    @property
    def host(self) -> str:
        return urlsplit(self.page.address).netloc

    def __call__(
        self,
        path: str,
        *,
        method: str = "GET",
        token: str | None = "right",
        form: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Answered:
        sent = {"host": self.host} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["authorization"] = f"Bearer {self.page.token if token == 'right' else token}"
        body = None
        if form is not None:
            body = urlencode(form)
            sent["content-type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Answered(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.getheaders()},
                body=answer.read(),
            )
        finally:
            connection.close()

    def whole(self, path: str) -> Answered:
        """Returns a page once nothing on it is still being read."""
        found: list[Answered] = []

        def there() -> bool:
            found.append(self(path))
            return "data-stale" not in found[-1].text

        until(there, what=f"the whole of {path}")
        return found[-1]


@contextmanager
def visited(orch: Orch, links: Links | None = None, **settings: Any) -> Iterator[Visitor]:
    """Yields a visitor of the page of a test's store."""
    given = {"mlflow_uri": "off", "executor": "inline", "workload_modules": ("tests.toy_workload",)}
    own = Settings(store=str(orch.directory / "store"), **{**given, **settings})
    page = prepare(own, Place(port=0), links or Links())
    thread = threading.Thread(target=page.run, daemon=True)
    thread.start()
    try:
        yield Visitor(page=page)
    finally:
        page.stop()
        thread.join(30)
        assert not thread.is_alive(), "the server did not end"
