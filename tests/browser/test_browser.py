"""What a researcher does with the page, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Desk, Reader
from tests.street.orch import until

LIVE = """
api_version: 1
study: live
workload: tests.toy_workload:SPEC
title: Watched from its first trial to its table
config: {{steps: 3, gate: "{gates}/"}}
design: {{type: factorial, factors: {{x: {{path: x, levels: [1, 2]}}}}}}
seeds: 2
tables: {{errors: {{rows: x, metric: test_error, percent: true, best: min}}}}
"""

RICH = """
api_version: 1
study: rich
workload: tests.toy_workload:SPEC
title: "A <script>document.title = 'taken'</script> title, long enough to be broken on a telephone, {long}"
paper: "<img src=x onerror=alert(1)>"
config: {{steps: 12}}
design:
  type: factorial
  factors:
    x: {{path: x, levels: {{"<b>bold": 1, two: 2, three: 3}}}}
    steps: {{path: steps, levels: [4, 12]}}
  overrides: [{{when: {{x: three}}, set: {{fault: raise, fault_at: 1}}}}]
seeds: 4
evaluate: {{scaled: {{family: scale, vary: {{by: {{levels: [2, 3, 4, 5, 6], otherwise: one}}}}}}}}
claims:
  larger:
    says: Scaled by 3 the error is higher than by 2
    from: [scaled]
    metric: test_error
    where: {{x: ["two"], steps: ["4"]}}
    higher: {{of: {{by: "3"}}, than: {{by: "2"}}}}
tables:
  errors:
    {{from: [test], rows: x, columns: steps, metric: test_error, percent: true, best: min, within: [x],
     baseline: {{steps: "4"}}}}
  scaled: {{from: [scaled], rows: [x, steps], columns: by, metric: test_error}}
plots:
  bars: {{kind: bars, x: x, from: [scaled], series: by, metric: test_error, where: {{steps: ["4"]}}}}
"""


def squares(reader: Reader, state: str) -> int:
    return int(reader.tab.locator(f"#grid a.s-{state}").count())


def running(reader: Reader, known: set[str]) -> tuple[str, str]:
    """Waits until a trial runs that did not before; returns its x and its seed."""
    found: list[tuple[str, str]] = []

    def there() -> bool:
        squares = "document.querySelectorAll('#grid a.s-running')"
        titles = reader.tab.evaluate(f"[...{squares}].map((each) => each.title)")
        told = [re.fullmatch(r"x=(\d) seed (\d): running", title) for title in titles]
        found[:] = [(each[1], each[2]) for each in told if each and f"{each[1]}-{each[2]}" not in known]
        return bool(found)

    until(there, what="a running trial")
    return found[0]


def test_a_study_is_watched_from_its_first_trial_to_its_table(desk: Desk, tmp_path: Path) -> None:
    reader = desk.reader()
    tab = reader.tab
    assert "No studies yet" in tab.inner_text("h1")
    gates = tmp_path / "gates"
    gates.mkdir()
    with desk.orch.start("submit", desk.orch.study(LIVE.format(gates=gates))) as driver:
        tab.wait_for_selector("text=Watched from its first trial", timeout=60_000)  # by itself
        tab.click("text=Watched from its first trial")
        tab.wait_for_selector("#grid a.s-running", timeout=60_000)
        assert tab.inner_text("#done") == "0"
        reader.until("document.querySelectorAll('#tables td.e-pending').length == 2")
        tab.evaluate("window.untouched = true")
        opened: set[str] = set()
        for number in range(1, 5):
            x, seed = running(reader, opened)
            opened.add(f"{x}-{seed}")
            (gates / f"{x}-{seed}").touch()
            reader.until(f"document.getElementById('done').textContent == '{number}'")
        assert len(opened) == 4
        assert driver.wait(60) == 0
    tab.wait_for_selector("#progress .p-done", timeout=30_000)
    reader.whole()
    reader.until("document.querySelectorAll('#tables td.e-ok').length == 2")
    assert squares(reader, "succeeded") == 4
    assert tab.evaluate("window.untouched")  # all of it without a reload
    printed = desk.orch("table", "live", "--format", "csv").out
    texts = tab.locator("#tables td a").all_inner_texts()
    assert len(texts) == 2
    assert all(text in printed for text in texts)

    tab.click("#tables td a >> nth=0")  # an entry, and from there one of its trials
    tab.wait_for_selector("h2:has-text('Learning curves')")
    reader.whole()
    assert tab.inner_text("#value") == texts[0]
    assert tab.locator("svg .strip.own circle").count() == 2
    tab.click("[aria-label=Trials] tbody a >> nth=0")
    tab.wait_for_selector("h2:has-text('Provenance')")
    assert "succeeded" in tab.inner_text("#trial")
    assert re.fullmatch(r".*/trials/[0-9a-f]{16}", tab.url)  # an address that can be sent to somebody

    reader.go("/studies/live/tables/errors")
    tab.click("text=Copy LaTeX")
    tab.wait_for_selector("button:has-text('Copied')")
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == desk.orch("table", "live", "--format", "latex").out
    assert copied.startswith("\\begin{table}")


@pytest.mark.slow
def test_a_study_is_cancelled_and_resumed_by_hand(desk: Desk, tmp_path: Path) -> None:
    gates = tmp_path / "gates"
    gates.mkdir()
    reader = desk.reader()
    tab = reader.tab
    with desk.orch.start("submit", desk.orch.study(LIVE.format(gates=gates))) as driver:
        tab.wait_for_selector("text=Watched from its first trial", timeout=60_000)
        reader.go("/studies/live")
        tab.wait_for_selector("#grid a.s-running", timeout=60_000)
        tab.click("text=Cancel…")
        tab.click("text=Leave them")
        assert tab.url.endswith("/studies/live")
        tab.click("text=Cancel…")
        tab.click("button:has-text('Cancel them')")
        reader.until("document.querySelectorAll('#grid a.s-cancelled').length == 4")
        driver.wait(60)
    for gate in ("1-0", "2-0", "1-1", "2-1"):
        (gates / gate).touch()
    tab.wait_for_selector("text=Resume…", timeout=30_000)
    tab.click("text=Resume…")
    tab.check("text=try the 4 cancelled ones again")
    tab.click("button:has-text('Resume')")
    tab.wait_for_selector("h1:has-text('The driver of live')")
    tab.wait_for_selector("text=4 trained", timeout=90_000)
    tab.click("text=To the study")
    tab.wait_for_selector("#progress .p-done", timeout=60_000)
    assert squares(reader, "succeeded") == 4


@pytest.fixture
def rich(desk: Desk) -> Desk:
    """A store with a study of everything, some of which failed."""
    desk.orch("submit", desk.orch.study(RICH.format(long="really " * 12)), code=1)
    return desk


PAGES = (
    *("/", "/studies/rich", "/studies/rich?of=scaled", "/studies/rich/tables", "/studies/rich/tables/scaled"),
    *("/studies/rich/tables/errors/entry?r=two&c=12", "/studies/rich/plots", "/studies/rich/claims"),
    *("/studies/rich/trials", "/studies/rich/trials?state=failed", "/studies/rich/design", "/compare"),
    *("/compare?one=rich:x=two,steps=4&other=rich:x=two,steps=12", "/studies/rich/cancel"),
    *("/studies/rich/resume", "/studies/rich/driver"),
)


@pytest.mark.slow
def test_pages_fit_narrow_and_wide_light_and_dark(rich: Desk) -> None:
    first = rich.reader()
    first.go("/studies/rich")
    first.whole()
    failed = first.tab.locator("#grid a.s-failed").first.get_attribute("href")
    seen: set[str] = set()
    for width, scheme in ((380, "light"), (2000, "dark")):
        reader = rich.reader(width=width, scheme=scheme)
        for path in (*PAGES, failed, f"{failed}/log"):
            reader.go(path)
            reader.whole()
            room = reader.tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert room <= 0, f"{path} is {room} pixels too wide at {width}"
            ground = reader.tab.evaluate("getComputedStyle(document.body).backgroundColor")
            seen.add(f"{scheme} {ground}")
            # Nothing that is read is smaller than eleven pixels, whatever the width.
            small = reader.tab.evaluate(SMALLEST)
            assert small >= 11, f"{path}: letters of {small} pixels at {width}"
            assert reader.tab.title() != "taken"
            assert reader.tab.locator("main script, main img:not(.plot), main b").count() == 0
    assert len(seen) == 2, seen


SMALLEST = """() => Math.min(...[...document.querySelectorAll('main *')]
    .filter((each) => each.checkVisibility() && !each.closest('svg') && !each.closest('.sq')
        && [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
    .map((each) => parseFloat(getComputedStyle(each).fontSize)))"""


def test_a_theme_is_chosen_and_kept(rich: Desk) -> None:
    reader = rich.reader(scheme="light")
    tab = reader.tab
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(ground)
    tab.click("#theme")
    dark = tab.evaluate(ground)
    assert dark != light
    reader.go("/studies/rich")
    assert tab.evaluate(ground) == dark  # from the first paint on, on every page
    tab.keyboard.press("t")
    assert tab.evaluate(ground) == light
    tab.keyboard.press("t")
    assert tab.evaluate("document.documentElement.dataset.theme") is None  # as the system has it


def test_everything_is_reached_by_keys(rich: Desk) -> None:
    reader = rich.reader()
    tab: Any = reader.tab
    reader.whole()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    reader.go("/studies/rich")
    reader.whole()
    tab.focus("#grid td a >> nth=0")
    first = tab.evaluate("document.activeElement.title")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.title") != first
    assert "seed 1" in tab.evaluate("document.activeElement.title")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("document.activeElement.title") == first
    tab.keyboard.press("?")
    assert tab.locator("dialog[open]").count() == 1
    tab.keyboard.press("Escape")
    tab.keyboard.press("2")
    tab.wait_for_url("**/studies/rich/tables")
    tab.keyboard.press("5")
    tab.wait_for_url("**/studies/rich/trials")
    tab.keyboard.press("/")
    tab.keyboard.type("two")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**q=two*")
    tab.keyboard.press("Escape")
    tab.keyboard.press("h")
    tab.wait_for_url(f"http://{reader.ask.host}/")


def test_without_the_token_a_browser_sees_nothing(rich: Desk) -> None:
    reader = rich.reader()
    stranger = rich.browser.new_context()
    try:
        tab = stranger.new_page()
        answer = tab.goto(f"http://{reader.ask.host}/studies/rich")
        assert answer.status == 401
        assert "rich" not in tab.content()
        # A page elsewhere cannot send this reader's cookie along, nor read an answer.
        elsewhere = reader.context.new_page()
        elsewhere.goto("about:blank")
        script = f"""fetch('http://{reader.ask.host}/studies/rich', {{credentials: 'include'}})
            .then((answer) => 'read ' + answer.status, () => 'refused')"""
        assert elsewhere.evaluate(script) == "refused"
        elsewhere.close()
    finally:
        stranger.close()
    reader.complaints.clear()  # the browser tells of the refused request, as it should
