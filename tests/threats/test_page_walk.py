"""Every operation of the page with what its OpenAPI allows and with what it forbids.

No answer is a 500, and none without the token says anything. A few examples of each operation are tried,
always the same; `ORCH_FUZZ=1` (make fuzz) tries many, and others each time.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from fastapi.openapi.utils import get_openapi
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from tests.inputs.refusals import TOY
from tests.street.orch import Orch
from tests.unit.dashboards.visitor import Visitor, visited

MANY = os.environ.get("ORCH_FUZZ") == "1"
EXAMPLES = 200 if MANY else 2
# Streams have no end of their own: unit/dashboards/test_pages.py reads one.
STREAMS = re.compile(r"/(events|live|stream)")
SECRET = "walked-study"
HOSTILE = (
    *(SECRET, "-1", "1e9", "9" * 20, "x" * 3000, "..", "../../etc/passwd", "%00", "\x00", "<script>", "a/b"),
    *("'; DROP TABLE trials; --", "\u202e", "{{7*7}}", "${jndi:x}", " ", "x=1,x=2", "[", "*", "NaN"),
    "\ud83d".encode("utf-16", "surrogatepass").decode("latin-1"),
)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    orch = Orch(directory=tmp_path_factory.mktemp("walked"))
    orch("submit", orch.study(TOY.replace("study: toy", f"study: {SECRET}")))
    with visited(orch) as visitor:
        yield visitor


def operations(ask: Visitor) -> list[Any]:
    """Returns the operations of the page's OpenAPI."""
    app: Any = ask.page.server.config.app._inner  # type: ignore[union-attr]
    document = get_openapi(title="orch", version="1", routes=app.routes)
    schema = schemathesis.openapi.from_dict(document)
    found = [each.ok() for each in schema.get_all_operations()]
    walked = [each for each in found if not STREAMS.search(each.path)]
    assert len(walked) > 10, [each.label for each in found]
    return walked


@pytest.mark.parametrize(
    "mode",
    [
        schemathesis.GenerationMode.POSITIVE,
        pytest.param(schemathesis.GenerationMode.NEGATIVE, marks=pytest.mark.slow),
    ],
    ids=lambda mode: mode.value,
)
def test_no_operation_breaks_and_none_answers_strangers(
    ask: Visitor, mode: schemathesis.GenerationMode
) -> None:
    assert SECRET in ask("/").text, "the words that no stranger may see are not there for a reader either"
    seen: set[int] = set()
    for operation in operations(ask):
        try:
            seen |= walked(ask, operation.as_strategy(generation_mode=mode))
        except Unsatisfiable:  # any text is right in its path, and it takes nothing else
            assert mode is schemathesis.GenerationMode.NEGATIVE, operation.label
    assert 200 in seen
    assert seen & {404, 422}, f"nothing was refused: {seen}"


def walked(ask: Visitor, cases: Any) -> set[int]:
    """Returns the codes that a reader was answered with; a stranger got none of it."""
    base, seen = f"http://{ask.host}", set()
    reader = {"Authorization": f"Bearer {ask.page.token}", "Origin": base}

    @given(cases)
    @settings(
        max_examples=EXAMPLES,
        derandomize=not MANY,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def hold(case: Any) -> None:
        stranger = case.call(base_url=base, allow_redirects=False)
        assert stranger.status_code in (401, 403), case.as_curl_command()
        assert SECRET not in stranger.text, case.as_curl_command()
        answer = case.call(base_url=base, headers=reader, allow_redirects=False)
        assert answer.status_code < 500, case.as_curl_command()
        assert "Traceback" not in answer.text, case.as_curl_command()
        seen.add(answer.status_code)

    hold()
    return seen


def test_no_operation_breaks_at_what_attackers_send(ask: Visitor) -> None:
    chance = random.Random(7)
    for operation in operations(ask):
        for _ in range(3):
            path, query = operation.path, []
            for each in operation.iter_parameters():
                value = quote(chance.choice(HOSTILE), safe="")
                if each.location == "path":
                    path = path.replace(f"{{{each.name}}}", value)
                else:
                    query.append(f"{each.name}={value}")
            target = f"{path}?{'&'.join(query)}"
            form = None
            if operation.method.upper() == "POST":
                form = {"confirm": chance.choice(HOSTILE), "form": chance.choice(HOSTILE)}
            answer = ask(target, method=operation.method.upper(), form=form, origin=f"http://{ask.host}")
            assert answer.status < 500, target
            assert "Traceback" not in answer.text, target


def test_pages_show_their_parameters_as_text(ask: Visitor) -> None:
    for path in (
        "/studies/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/trials/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ):
        assert "<script>alert" not in ask(path).text
