"""Renderers: structure, and payloads that must come out as text in every format."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from html.parser import HTMLParser

import pytest

from orchestrator.errors import UsageError
from orchestrator.model.table import Entry, Table
from orchestrator.tables.render import FORMATS, render

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    '=HYPERLINK("http://x","y")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    " =1+1",
    "a|b",
    "**bold** _it_ `code` [link](http://x) ~~gone~~ $x$",
    "a\nb\r\nc",
    "\x1b[31mred\x07\x00",
    "\\input{/etc/passwd} $a_b^c$ 50% #1 & {x} ~",
    "[2pt] starts like an argument",
    "*star",
    "\u202egnirts",
    "tail\\",
]


def table_of(text: str) -> Table:
    entry = Entry(text=text, status="error", planned=1, message=text, trials=())
    return Table(
        name="t",
        caption=text,
        row_names=("outer", text),
        rows=((text, "x"), ("x", text)),
        column_names=("c", "d"),
        columns=((text, "y"), (text, text)),
        entries=((entry, Entry(text="1", best=True)), (Entry(text=text, best=True), entry)),
        notes=(text,),
    )


class Tags(HTMLParser):
    """Collects tags, attributes and text, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


ALLOWED_TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "strong", "br"}
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def on_one_line(text: str) -> str:
    return re.sub("[\x00-\x1f\x7f-\x9f\u202e]+", " ", text)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_html_shows_payloads_as_text(payload):
    parser = Tags()
    parser.feed(render(table_of(payload), "html"))
    assert set(parser.tags) <= ALLOWED_TAGS
    assert {name for name, _ in parser.attributes} <= {"class", "title", "scope", "colspan", "rowspan"}
    assert on_one_line(payload) in parser.texts


@pytest.mark.parametrize("payload", PAYLOADS)
def test_csv_cells_are_never_formulas_and_keep_their_place(payload):
    rows = list(csv.reader(io.StringIO(render(table_of(payload), "csv"))))
    assert [len(row) for row in rows] == [4, 4, 4]
    for cell in (cell for row in rows for cell in row):
        assert not re.match(r"\s*[=+\-@]", cell)
    assert rows[1][0].lstrip("'") == on_one_line(payload)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_keeps_its_columns_and_no_markup_gets_through(payload):
    text = render(table_of(payload), "md").replace("\\\\", "")  # escaped backslashes escape nothing
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [5, 5, 5, 5]
    assert "<" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)[`~$]", text)
    # Stars only in pairs that the renderer wrote: caption, one best number, one best payload.
    assert len(re.findall(r"(?<!\\)\*", text)) == 12


@pytest.mark.parametrize("payload", PAYLOADS)
def test_latex_balances_and_runs_no_command_of_a_payload(payload):
    text = render(table_of(payload), "latex")
    commands = set(re.findall(r"\\([a-zA-Z]+)", text))
    ours = "begin end centering caption label toprule midrule bottomrule multicolumn cmidrule textbf"
    ours += " smallskip parbox linewidth footnotesize textbackslash textasciicircum textasciitilde textless"
    ours += " textgreater textbar textasciigrave pm times"
    assert commands <= set(ours.split())
    bare = re.sub(r"\\[{}$&#%_\\]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[%#~^]", bare)
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [3, 3]
    assert not re.search(r"\\\\\s*[\[*]", text)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_json_round_trips_payloads(payload):
    found = json.loads(render(table_of(payload), "json"))
    assert found["caption"] == payload
    assert found["entries"][0][0]["message"] == payload


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "json"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_control_characters(payload, format):
    assert not CONTROL.search(render(table_of(payload), format))


def entry(text: str, **more: object) -> Entry:
    return Entry(text=text, n=1, planned=1, **more)  # type: ignore[arg-type]


NESTED = Table(
    name="table_4",
    row_names=("depth", "sharing"),
    rows=(("26", "W/O"), ("26", "W/"), ("38", "W/")),
    column_names=("data", "network"),
    columns=(("", "parameters"), ("C10", "Plain"), ("C10", "ResNet"), ("SVHN", "ResNet")),
    entries=tuple(
        (entry("1.5M"), entry("1.00 ± 0.10"), entry("0.90 ± 0.10", best=True), entry("-2.00"))
        for _ in range(3)
    ),
)


def test_html_spanners_cover_the_grid_exactly():
    rows = re.findall(r"<tr>(.*?)</tr>", render(NESTED, "html"))
    occupied: dict[int, int] = {}
    for index, row in enumerate(rows):
        width = 0
        for cell in re.findall(r"<t[hd]([^>]*)>", row):
            columns = int((re.search(r'colspan="(\d+)"', cell) or [0, 1])[1])
            height = int((re.search(r'rowspan="(\d+)"', cell) or [0, 1])[1])
            width += columns
            for below in range(1, height):
                occupied[index + below] = occupied.get(index + below, 0) + columns
        assert width + occupied.get(index, 0) == 6
    assert '<th scope="colgroup" colspan="2">C10</th>' in rows[0]
    assert '<th scope="rowgroup" rowspan="2">26</th>' in rows[2]


def test_latex_spanners_cover_the_columns_exactly():
    text = render(NESTED, "latex")
    spanner, rules = next(
        (line, below)
        for line, below in zip(text.splitlines(), text.splitlines()[1:], strict=False)
        if "C10" in line
    )
    assert spanner == r" &  &  & \multicolumn{2}{c}{C10} & \multicolumn{1}{c}{SVHN} \\"
    assert rules == r"\cmidrule(lr){4-5} \cmidrule(lr){6-6}"
    assert r"\textbf{0.90 $\pm$ 0.10}" in text
    assert "$-$2.00" in text
    assert [line.split(" & ")[0] for line in text.splitlines() if "1.5M" in line] == ["26", "", "38"]


def test_columns_without_a_spanner_are_not_joined():
    columns = (("", "parameters"), ("", "flops"), ("C10", "Plain"))
    cells = tuple(entry(text) for text in ("1.5M", "2.0G", "0.1"))
    table = Table(
        name="t",
        row_names=(),
        rows=((),),
        column_names=("data", "network"),
        columns=columns,
        entries=(cells,),
    )
    assert render(table, "html").count("<td></td>") == 2
    assert r" &  & \multicolumn{1}{c}{C10} \\" in render(table, "latex")


def test_markdown_and_csv_flatten_headers():
    assert (
        render(NESTED, "md").splitlines()[0]
        == "| depth | sharing | parameters | C10 / Plain | C10 / ResNet | SVHN / ResNet |"
    )
    rows = list(csv.reader(io.StringIO(render(NESTED, "csv"))))
    assert rows[0] == ["depth", "sharing", "parameters", "C10 / Plain", "C10 / ResNet", "SVHN / ResNet"]
    assert rows[1] == ["26", "W/O", "1.5M", "1.00 ± 0.10", "0.90 ± 0.10", "-2.00"]  # a number stays one


def single(only: Entry) -> Table:
    columns = (("test_error",),)
    return Table(name="t", row_names=(), rows=((),), column_names=(), columns=columns, entries=((only,),))


def test_json_refuses_what_is_no_json():
    with pytest.raises(ValueError, match="JSON compliant"):
        render(single(entry("x", estimate=math.nan)), "json")


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_table_of_one_entry_and_an_empty_one_render(format):
    assert "0.1" in render(single(entry("0.1")), format)
    nothing: dict[str, tuple[()]] = {"row_names": (), "rows": (), "column_names": (), "columns": ()}
    empty = Table(name="t", **nothing, entries=(), notes=("Nothing.",))
    assert render(empty, format).endswith("\n")


def test_dashes_stay_dashes_in_latex():
    text = render(single(entry("a--b-c")), "latex")
    assert "a-{}-b-c" in text


def test_unknown_formats_are_told():
    with pytest.raises(UsageError, match="got 'xlsx', allowed are md, latex, csv, html, json"):
        render(NESTED, "xlsx")
