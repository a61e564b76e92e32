"""Tables, entries, claims, plots, comparisons: what a reader follows from a number to where it came from."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

import pytest

from tests.street.orch import Orch
from tests.unit.dashboards.visitor import Visitor, visited

STUDY = """
api_version: 1
study: found
workload: tests.toy_workload:SPEC
config: {steps: 6}
title: What is found
design:
  type: factorial
  factors:
    x: {path: x, levels: {"<b>one": 1, two: 2}}
    steps: {path: steps, levels: [4, 6]}
seeds: 3
evaluate: {scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}}
claims:
  larger:
    says: Scaled by 3 the error <i>is</i> higher than by 2
    from: [scaled]
    metric: test_error
    where: {x: ["two"], steps: ["4"]}
    higher: {of: {by: "3"}, than: {by: "2"}}
tables:
  errors:
    {from: [test], rows: x, columns: steps, metric: test_error, percent: true, best: min, within: [x],
     baseline: {steps: "4"}, caption: "Errors & <script>alert(3)</script>"}
  scaled: {from: [scaled], rows: [x, steps], columns: by, metric: test_error}
plots:
  bars: {kind: bars, x: x, from: [scaled], series: by, metric: test_error, where: {steps: ["4"]}}
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    orch = Orch(directory=tmp_path_factory.mktemp("findings"))
    orch("submit", orch.study(STUDY))
    orch("submit", orch.study(STUDY.replace("study: found", "study: other").replace("seeds: 3", "seeds: 2")))
    with visited(orch) as visitor:
        yield visitor


def entries_of(ask: Visitor, table: str) -> list[tuple[str, str]]:
    """Returns address and text of each entry that a table's page shows."""
    page = ask.whole(f"/studies/found/tables/{table}").text
    return [
        (html.unescape(where), re.sub("<[^>]*>", "", text))
        for where, text in re.findall(r'<td class="e-[a-z]+"><a href="([^"]+)"[^>]*>(.*?)</a>', page)
    ]


def test_a_table_is_shown_as_it_is_printed(ask: Visitor) -> None:
    found = entries_of(ask, "errors")
    assert len(found) == 4
    text = ask("/studies/found/tables/errors/as/md").text
    for _, shown in found:
        assert shown in text
    assert ask("/studies/found/tables/errors/as/latex").text.startswith("\\begin{table}")
    assert ask("/studies/found/tables/errors/as/csv").headers["content-type"].startswith("text/csv")
    assert json.loads(ask("/studies/found/tables/errors/as/json").text)["name"] == "errors"
    page = ask.whole("/studies/found/tables/errors").words
    assert "(p = " in page  # contrasts stand below the entries
    assert ask("/studies/found/tables/errors/as/xlsx").status == 404
    overview = ask.whole("/studies/found").text
    assert overview.count('<table class="paper"') == 2


def test_an_entry_leads_to_its_trials_and_back_to_its_neighbours(ask: Visitor) -> None:
    (where, text) = entries_of(ask, "errors")[1]
    page = ask.whole(where)
    assert text in page.words
    assert len(set(re.findall(r'href="(/trials/[0-9a-f]{16})"', page.text))) == 3
    assert page.text.count("<circle") == 6  # three seeds each of two entries
    assert "Config, compared with &lt;b&gt;one, 4" in page.words
    assert "steps 6 4" in page.words
    assert "Learning curves" in page.words
    assert 'class="band"' in page.text
    assert "\\pm" in page.text  # to be copied
    trial = re.findall(r'href="(/trials/[0-9a-f]{16})"', page.text)[0]
    assert "succeeded" in ask.whole(trial).words
    first = ask.whole(entries_of(ask, "errors")[0][0])
    assert "The others are compared with this entry" in first.words


def test_an_entry_of_an_evaluation_shows_its_networks_curves(ask: Visitor) -> None:
    page = ask.whole(entries_of(ask, "scaled")[0][0])
    assert "Learning curves" in page.words
    assert page.text.count('class="thin"') >= 3
    assert "same config" in page.words or "compared with" in page.words


def test_what_the_page_scales_is_what_the_table_prints(ask: Visitor) -> None:
    (where, text) = entries_of(ask, "errors")[0]
    page = ask.whole(where)
    mean = float(text.split(" ")[0])
    seeds = [float(each) for each in re.findall(r"seed \d+: ([0-9.]+)</title></circle>", page.text)]
    assert any(abs(sum(seeds[n : n + 3]) / 3 - mean) < 0.01 for n in (0, 3)), (seeds, mean)


def test_claims_and_plots_are_shown(ask: Visitor) -> None:
    claims = ask.whole("/studies/found/claims")
    assert "Scaled by 3 the error &lt;i&gt;is&lt;/i&gt; higher than by 2" in claims.text
    assert re.search(r"p-(holds|unclear|does-not-hold)", claims.text)
    plots = ask.whole("/studies/found/plots")
    (source,) = re.findall(r'<img class="plot" src="([^"]+)"', plots.text)
    drawing = ask(source)
    assert drawing.headers["content-type"].startswith("image/svg+xml")
    assert "script" not in drawing.headers["content-security-policy"]
    assert b"<svg" in drawing.body
    assert ask("/studies/found/plots/none.svg").status == 404
    design = ask.whole("/studies/found/design")
    assert "study: found" in design.text
    assert "found-1" in design.words


def test_two_of_anything_are_compared(ask: Visitor) -> None:
    studies = ask.whole("/compare?one=found&other=other")
    assert "seeds 0, 1, 2 0, 1" in studies.words
    cells = ask.whole("/compare?one=found:x=two,steps=4&other=found:x=two,steps=6")
    assert "steps 4 6" in cells.words
    keys = re.findall(r'href="/trials/([0-9a-f]{16})"', ask.whole("/studies/found").text)[:2]
    assert "They do not differ" not in ask.whole(f"/compare?one={keys[0]}&other={keys[1]}").words
    assert "a study and" in ask.whole(f"/compare?one=found&other={keys[0]}").words
    assert ask("/compare").status == 200


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "study.yaml",
        "../study.yaml",
        "./found",
        "/etc/passwd:x=1",
        "study.yaml:x=two",
        "a/b.yml",
    ],
)
def test_no_file_is_read_by_its_name(ask: Visitor, text: str) -> None:
    for pair in (f"one={text}&other=found", f"one=found&other={text}"):
        answer = ask(f"/compare?{pair}")
        assert answer.status == 400
        assert "no study of this store" in answer.words


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/studies/found/tables/none", "no table"),
        ("/studies/found/tables/errors/entry?r=none&c=4", "no row"),
        ("/studies/found/tables/errors/entry?r=two&c=<script>", "no column"),
        ("/studies/found/tables/errors/entry", "no row"),
    ],
)
def test_what_is_not_there_is_told(ask: Visitor, path: str, says: str) -> None:
    ask.whole("/studies/found/tables")
    answer = ask(path)
    assert answer.status == 404
    assert says in answer.words
    assert "<script>" not in answer.text.replace('<script src="', "")
