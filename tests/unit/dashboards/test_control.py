"""Cancel and resume: asked first, by this page's own forms alone; and what monitoring reads."""

from __future__ import annotations

import base64
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from mlflow.tracking import MlflowClient

from dashboards.mlflow_server import mlflow_page
from orchestrator.errors import UsageError
from tests.street.orch import Orch, until
from tests.unit.dashboards.visitor import Visitor, visited

STUDY = """
api_version: 1
study: held
workload: tests.toy_workload:SPEC
config: {{steps: 3, gate: {gate}}}
design: {{type: factorial, factors: {{x: {{path: x, levels: [1, 2]}}}}}}
seeds: 2
"""


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orch]:
    orch = Orch(directory=tmp_path)
    with mock.patch.dict(os.environ, orch.env):
        yield orch


def form_of(ask: Visitor, path: str) -> dict[str, str]:
    """Returns the hidden fields of a page's form."""
    text = ask.whole(path).text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))


def states(orch: Orch) -> dict[str, int]:
    (found,) = orch("status", "held", "--json").json["studies"]
    return {name: number for name, number in found["trainings"].items() if number}


def test_a_study_is_cancelled_and_resumed(orch: Orch, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with visited(orch) as ask, orch.start("submit", orch.study(STUDY.format(gate=gate))) as driver:
        until(lambda: (tmp_path / "store" / "registry.db").exists(), what="the store")
        until(lambda: "running 1" in ask("/studies/held").words, what="a running trial")
        page = ask.whole("/studies/held")
        assert 'href="/studies/held/cancel"' in page.text
        assert 'href="/studies/held/resume"' not in page.text  # somebody drives it
        question = ask.whole("/studies/held/cancel")
        assert "4 trials are not final yet" in question.words
        assert states(orch).get("cancelled", 0) == 0  # asking changes nothing
        assert ask.whole("/studies/held/resume").words.count("driven already") == 1

        own = {"origin": f"http://{ask.host}"}
        form = form_of(ask, "/studies/held/cancel")
        for wrong in ({}, {**form, "form": "x.y"}, {**form, "form": ""}, {**form, "form": form["form"][:-1]}):
            assert ask("/studies/held/cancel", method="POST", form=wrong, **own).status == 403
        assert ask("/studies/held/cancel", method="POST", form=form).status == 403  # of no page
        assert ask("/studies/held/cancel", method="POST", form=form, token=None, **own).status == 401
        foreign = {"origin": "https://evil.example"}
        assert ask("/studies/held/cancel", method="POST", form=form, **foreign).status == 403
        assert states(orch).get("cancelled", 0) == 0

        done = ask("/studies/held/cancel", method="POST", form=form, **own)
        assert (done.status, done.headers["location"]) == (303, "/studies/held")
        driver.wait(60)
        assert states(orch) == {"cancelled": 4}
        assert "nothing to cancel" in ask.whole("/studies/held/cancel").words

        page = ask.whole("/studies/held")
        assert 'href="/studies/held/resume"' in page.text
        form = form_of(ask, "/studies/held/resume")
        gate.touch()
        done = ask("/studies/held/resume", method="POST", form={**form, "cancelled": "yes"}, **own)
        assert (done.status, done.headers["location"]) == (303, "/studies/held/driver")
        until(lambda: states(orch) == {"succeeded": 4}, what="the resumed study")
        until(lambda: "4 trained" in ask("/studies/held/driver").words, what="what the driver printed")
        kept = tmp_path / "store" / "drivers" / "held.log"
        assert kept.stat().st_mode & 0o077 == 0
        until(lambda: "Nobody drives it now" in ask("/studies/held/driver").words, what="the driver's end")


def test_one_trial_is_cancelled(orch: Orch, tmp_path: Path) -> None:
    with visited(orch) as ask, orch.start("submit", orch.study(STUDY.format(gate=tmp_path / "gate"))) as _:
        until(lambda: (tmp_path / "store" / "registry.db").exists(), what="the store")
        until(lambda: "running 1" in ask("/studies/held").words, what="a running trial")
        (key,) = {
            each["trial"]
            for each in orch("show", "held", "--json").json["trials"]
            if each["state"] == "running"
        }
        assert f"/studies/held/cancel?trial={key}" in ask.whole(f"/trials/{key}").text
        form = form_of(ask, f"/studies/held/cancel?trial={key}")
        done = ask("/studies/held/cancel", method="POST", form=form, origin=f"http://{ask.host}")
        assert done.headers["location"] == f"/trials/{key}"
        until(lambda: states(orch).get("cancelled") == 1, what="the cancellation")
        assert ask("/studies/held/cancel?trial=zzz").status == 404


def test_what_somebody_else_submitted_takes_a_word_more(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    with mock.patch("orchestrator.app.submit.user", return_value="<somebody>"):
        orch("submit", orch.study(STUDY.format(gate=tmp_path / "gate")), "--cells", "x=1")
    with visited(orch) as ask:
        assert "&lt;somebody&gt; submitted it" in ask.whole("/studies/held/cancel").text
        own = {"origin": f"http://{ask.host}"}
        form = form_of(ask, "/studies/held/cancel")
        assert ask("/studies/held/cancel", method="POST", form=form, **own).status == 400
        assert ask("/studies/held/resume", method="POST", form=form, **own).status == 400
        assert states(orch) == {"pending": 2, "succeeded": 2}
        assert (
            ask("/studies/held/cancel", method="POST", form={**form, "anybodys": "yes"}, **own).status == 303
        )
        assert states(orch) == {"cancelled": 2, "succeeded": 2}


def test_monitoring_reads_with_the_token(orch: Orch, tmp_path: Path) -> None:
    with visited(orch) as ask:
        assert ask("/metrics", token=None).status == 401
        assert "orch_up 0" in ask("/metrics").text
        (tmp_path / "gate").touch()
        orch("submit", orch.study(STUDY.format(gate=tmp_path / "gate")))
        answer = ask("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'orch_trials{study="held",stage="train",state="succeeded"} 4' in answer.text


def test_a_mirror_is_shown_where_it_is(tmp_path: Path) -> None:
    with mlflow_page("https://me:secret@mlflow.lab/") as served:
        assert served.address == "https://mlflow.lab"
        assert not served.password
    with pytest.raises(UsageError, match="no mirror"), mlflow_page(None):
        pass


@pytest.mark.slow
def test_mlflow_is_served_behind_a_password(tmp_path: Path) -> None:
    def status(address: str, **headers: str) -> int:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(address, headers=headers), timeout=20
            ) as found:
                return int(found.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MlflowClient(uri).create_experiment("ours")
    with mlflow_page(uri) as served:
        until(lambda: status(served.address) != 0, timeout_s=180, what="MLflow")
        shown = base64.b64encode(f"{served.user}:{served.password}".encode()).decode()
        for path in ("/", "/api/2.0/mlflow/experiments/search?max_results=5", "/graphql"):
            assert status(served.address + path) == 401, path
        assert status(served.address + "/", authorization=f"Basic {shown}") == 200
        listing = f"{served.address}/api/2.0/mlflow/experiments/search?max_results=5"
        asked = urllib.request.Request(listing, headers={"authorization": f"Basic {shown}"})
        with urllib.request.urlopen(asked, timeout=20) as found:
            assert b'"ours"' in found.read()
        address = served.address
    assert status(address) == 0  # it ends with the page
