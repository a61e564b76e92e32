"""The report: one page that says everything, loads nothing, and shows no text as anything but text."""

from __future__ import annotations

import base64
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browsers import chromium_path
from tests.street.orch import Orch

STUDY = """
api_version: 1
study: told
workload: tests.toy_workload:SPEC
config: {steps: 2}
title: "What <script>alert(1)</script> & co. do"
paper: Somebody 2026
design:
  type: factorial
  factors: {x: {path: x, levels: {"<b>one": 1, two: 2, three: 3}}}
  overrides: [{when: {x: three}, set: {fault: raise, fault_at: 1}}]
seeds: 3
evaluate: {scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}}
claims:
  larger:
    says: Scaled by 3 the error is higher than by 2
    from: [scaled]
    metric: test_error
    where: {x: ["two"]}
    higher: {of: {by: "3"}, than: {by: "2"}}
tables:
  errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}
plots:
  errors: {kind: bars, x: x, from: [test, scaled], series: by, metric: test_error}
"""


class Page(HTMLParser):
    """Text, headings and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    orch = Orch(directory=tmp_path_factory.mktemp("told"))
    orch("submit", orch.study(STUDY), "--note", "<i>note</i>", code=1)
    target = orch.directory / "report.html"
    assert orch("report", "told", "-o", target, "--json").json["path"] == str(target)
    return target


def test_it_says_what_was_asked_and_found(page: Path) -> None:
    found = Page(page.read_text())
    text = "\n".join(found.texts)
    for part in (
        *(
            "What <script>alert(1)</script> & co. do",
            "Somebody 2026",
            "Scaled by 3 the error is higher than by 2",
        ),
        *("<b>one", "x=three seed 0", "failed", "told-1", "<i>note</i>", "3 − 2", "study: told"),
        *("Claims", "Tables", "Plots", "Design", "What failed", "Where the numbers come from"),
    ):
        assert part in text, part


def test_nothing_is_loaded_and_nothing_runs(page: Path) -> None:
    found = Page(page.read_text())
    assert not {"script", "iframe", "link", "object", "form", "b", "i"} & set(found.tags)
    assert found.addresses
    for address in found.addresses:
        assert address.startswith("data:image/svg+xml;base64,")
        svg = base64.b64decode(address.partition(",")[2]).decode()
        assert "<script" not in svg
        assert not re.search(r"(href|src)\s*=\s*[\"'](?!#|data:)", svg)


def test_a_browser_opens_it_from_the_disk(page: Path, tmp_path: Path) -> None:
    browser = chromium_path()
    shot = tmp_path / "shot.png"
    done = subprocess.run(
        [
            *(
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
            ),
            *("--window-size=380,900", f"--screenshot={shot}", "--enable-logging=stderr", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shot.read_bytes()[:4] == b"\x89PNG", done.stderr
    # What the page's policy forbids would be told on its console.
    assert "Content Security Policy" not in done.stderr, done.stderr


def test_an_incomplete_study_has_one_too(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    orch("submit", orch.study(STUDY), "--cells", "x=two")
    orch("report", "told")
    text = (tmp_path / "told.html").read_text()
    assert "incomplete" not in Page(text).texts  # its claim is of what was asked for
    assert "9 of 27 trials have a result" in " ".join(text.split())
    assert orch("report", "other", code=3).err
