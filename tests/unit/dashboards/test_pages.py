"""Pages of a store: what they say, and that nothing in them is anything but text."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from tests.street.orch import Orch
from tests.unit.dashboards.visitor import Visitor, visited

# Whatever a study file, a workload or a log says is shown, and does nothing.
STUDY = """
api_version: 1
study: told
workload: tests.toy_workload:SPEC
config: {steps: 2}
title: "What <script>alert(1)</script> & co. do"
paper: "<img src=x onerror=alert(2)> 2026"
notes: "\\e[31mred\\e[0m and \\u202eturned\\u202c"
design:
  type: factorial
  factors:
    x: {path: x, levels: {"<b>one": 1, two: 2, three: 3}}
  overrides: [{when: {x: three}, set: {fault: raise, fault_at: 1}}]
seeds: 3
evaluate: {scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}}
tables:
  errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}
"""


@pytest.fixture(scope="module")
def orch(tmp_path_factory: pytest.TempPathFactory) -> Orch:
    orch = Orch(directory=tmp_path_factory.mktemp("pages"))
    orch("submit", orch.study(STUDY), "--note", "<i>note</i>", code=1)
    return orch


@pytest.fixture(scope="module")
def ask(orch: Orch) -> Iterator[Visitor]:
    with visited(orch) as visitor:
        yield visitor


def test_studies_are_listed(ask: Visitor) -> None:
    page = ask.whole("/")
    assert page.status == 200
    for part in (
        "What &lt;script&gt;alert(1)&lt;/script&gt; &amp; co. do",
        "failed",
        "18 of 27",
        "&lt;i&gt;note",
    ):
        assert part in page.text or part in page.words, part


def test_a_study_shows_its_grid_and_what_failed(ask: Visitor) -> None:
    page = ask.whole("/studies/told")
    for part in ("succeeded 18", "failed 2", "blocked 7", "2 × error", "Cells and seeds", "&lt;b&gt;one"):
        assert part in page.words or part in page.text, part
    assert page.text.count('class="sq s-succeeded" href="/trials/') == 6
    assert page.text.count('class="sq s-failed" href="/trials/') == 2
    other = ask.whole("/studies/told?of=scaled")
    assert other.text.count('class="sq s-blocked" href="/trials/') == 3
    assert "2 of 2 done" in other.text


def test_a_failure_leads_to_its_log(ask: Visitor) -> None:
    page = ask.whole("/studies/told").text
    where = page.partition('">log of ')[0].rpartition('href="')[2]
    trial = ask.whole(where.partition("#")[0])
    assert 'id="log"' in trial.text
    assert "Traceback of attempt" in trial.words
    assert "failed" in trial.words
    assert ask(where.partition("#")[0] + "/log").status == 200


def test_trials_are_found_by_state_and_name(ask: Visitor) -> None:
    assert ask.whole("/studies/told/trials").text.count("<tr><td>") == 27
    assert ask.whole("/studies/told/trials?state=failed").text.count("<tr><td>") == 2
    assert ask.whole("/studies/told/trials?of=scaled&q=two").text.count("<tr><td>") == 6
    assert "No trial is like that" in ask.whole("/studies/told/trials?q=nothing").words


def test_what_others_wrote_is_shown_and_does_nothing(ask: Visitor) -> None:
    for path in ("/", "/studies/told", "/studies/told/trials?q=<script>x</script>&state=<b>"):
        text = ask.whole(path).text
        for bad in ("<script>alert", "<script>x", "<img", "<b>", "<i>note", "\x1b", "\u202e"):
            assert bad not in text, (path, bad)
    assert "␛[31mred" in ask.whole("/studies/told").text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/studies/tolt", 404, "did you mean told?"),
        ("/studies/tolt/trials", 404, "did you mean told?"),
        ("/trials/zzz", 404, "no trial whose key begins with"),
        ("/trials/%3Cscript%3E", 404, "&lt;script&gt;"),
        ("/nowhere", 404, "no such page"),
        ("/studies/told?page=x", 400, "cannot be read: page"),
        ("/studies/..%2f..%2fetc", 404, "no such page"),
        ("/static/..%2fserve.py", 404, "no such page"),
        ("/static/%2e%2e", 404, "no such page"),
    ],
)
def test_errors_are_pages_with_a_message(ask: Visitor, path: str, status: int, says: str) -> None:
    answer = ask(path)
    assert (answer.status, says in answer.text) == (status, True), answer.words
    assert "Traceback" not in answer.text


def test_a_store_without_studies_says_how_to_begin(orch: Orch) -> None:
    empty = Orch(directory=orch.directory / "empty")
    empty.directory.mkdir()
    with visited(empty) as ask:
        assert "orch submit" in ask("/").words
        assert ask("/studies/told").status == 404
        assert not (empty.directory / "store").exists()  # looking makes nothing
        empty("submit", empty.study(STUDY), code=1)
        assert "18 of 27" in ask.whole("/").words


def test_changes_are_told(orch: Orch, ask: Visitor) -> None:
    connection = http.client.HTTPConnection(ask.host, timeout=60)
    connection.request("GET", "/studies/told/events", headers={"authorization": f"Bearer {ask.page.token}"})
    stream = connection.getresponse()
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.readline() == b"retry: 3000\n"
    orch("resume", "told", "--failed", code=1)
    lines = []
    while not lines or lines[-1] != b"event: changed\n":
        lines.append(stream.readline())
    stream.close()
    connection.close()
