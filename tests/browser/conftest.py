"""A real browser on a page that is really served; everything it complains of is an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.browsers import chromium_path
from tests.street.orch import Orch, until
from tests.unit.dashboards.visitor import Visitor, visited


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without windows; of one module, since its driver holds the event loop of its process."""
    found = chromium_path()
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="not run here: playwright is not installed"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@dataclass(kw_only=True)
class Reader:
    """Somebody with a browser, signed in.

    Attributes:
        tab: The tab they look at.
        complaints: What the browser's console and its pages' scripts complained of.
        strangers: Requests that left the page's own origin.
    """

    ask: Visitor
    context: Any
    tab: Any
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Opens a page of ours."""
        self.tab.goto(f"http://{self.ask.host}{path}")

    def whole(self) -> None:
        """Waits until nothing on the page is still being read."""
        self.until("!document.body.hasAttribute('data-stale')")

    def until(self, script: str) -> None:
        """Waits until something holds in the page: by asking again, since its policy compiles nothing."""
        until(lambda: bool(self.tab.evaluate(script)), what=script)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A store with its page, and readers of it."""

    orch: Orch
    ask: Visitor
    browser: Any
    readers: list[Reader] = field(default_factory=list)

    def reader(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> Reader:
        """Returns a new reader who has opened the address that `orch ui` printed."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        origin = f"http://{self.ask.host}"
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=origin)
        reader = Reader(ask=self.ask, context=context, tab=context.new_page())
        self.readers.append(reader)

        def heard(message: Any) -> None:
            if message.type in ("error", "warning"):
                reader.complaints.append(f"{message.type}: {message.text}")

        def asked(request: Any) -> None:
            if not request.url.startswith((origin + "/", "blob:", "data:")):
                reader.strangers.append(request.url)

        context.on("console", heard)
        context.on("weberror", lambda error: reader.complaints.append(str(error.error)))
        context.on("request", asked)
        context.on("dialog", lambda dialog: reader.complaints.append(f"dialog: {dialog.message}"))
        reader.tab.goto(f"{origin}/?token={self.ask.page.token}")
        reader.tab.wait_for_url(f"{origin}/")
        return reader


@pytest.fixture
def desk(chromium: Any, tmp_path: Path) -> Iterator[Desk]:
    """A store of the test's own; whatever a browser complains of fails the test."""
    orch = Orch(directory=tmp_path)
    with mock.patch.dict(os.environ, orch.env), visited(orch) as ask:
        desk = Desk(orch=orch, ask=ask, browser=chromium)
        yield desk
        for reader in desk.readers:
            assert reader.complaints == []
            assert reader.strangers == []
            reader.context.close()
