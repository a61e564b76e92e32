"""Who is told of what happened to a study, as a user sets it up."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.notify import Notices
from orchestrator.driver.progress import Progress, Summary
from orchestrator.errors import TargetError
from orchestrator.model.notice import NotifyRule
from orchestrator.model.plan import State, TrialKey
from orchestrator.notification.sender import Sender
from tests.street.orch import Orch
from tests.street.test_claims import CLAIMS
from tests.street.test_claims import STUDY as CLAIMED

STUDY = """
api_version: 1
study: news
workload: tests.toy_workload:SPEC
config: {steps: 2, FAULT}
design: {type: factorial, factors: {x: {path: x, levels: [1, 2, 3, 4]}}}
seeds: 2
BUDGET
tables: {errors: {rows: x, metric: test_error}}
"""


def told_by(directory: Path, *, on: list[str] | None = None) -> Orch:
    """Returns a command line that tells a file of what happens, a line each."""
    command = ["sh", "-c", f"(cat; echo) >> {directory}/told"]
    rule = {"command": command} if on is None else {"command": command, "on": on}
    return Orch(directory=directory, environment={"ORCH_NOTIFY": json.dumps([rule])})


def told(directory: Path) -> list[dict[str, Any]]:
    """Returns what was told since the last call."""
    path = directory / "told"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def study(orch: Orch, *, fault: str = "step_s: 0", budget: str = "") -> Path:
    return orch.study(STUDY.replace("FAULT", fault).replace("BUDGET", budget))


def test_the_end_is_told_once(tmp_path: Path) -> None:
    orch = told_by(tmp_path)
    file = study(orch)
    orch("submit", file)
    (done,) = told(tmp_path)
    assert (done["event"], done["study"], done["submission"]) == ("done", "news", "news-1")
    assert done["text"] == "news: done: 8 trained, 0 evaluated"
    assert (done["counts"], done["host"]) == ({"succeeded": 8}, socket.gethostname())
    for again in ("submit", "resume"):
        orch(again, file)  # nothing is to run: no news
        assert told(tmp_path) == []


def test_failures_are_told_once_with_the_first_of_them(tmp_path: Path) -> None:
    orch = told_by(tmp_path)
    file = study(orch, fault="fault: raise, fault_seed: 1")
    orch("submit", file, code=1)
    failed, done = told(tmp_path)
    assert (failed["event"], failed["failed"], failed["counts"]) == (
        "failed",
        4,
        {"succeeded": 4, "failed": 4},
    )
    assert [each["message"] for each in failed["failures"]] == ["ValueError: the toy was told to raise"] * 4
    assert "4 of 8 trials failed, the first: ValueError" in failed["text"]
    assert done["text"] == "news: done: 4 trained, 0 evaluated, 4 failed"


def test_a_spent_budget_is_told(tmp_path: Path) -> None:
    orch = told_by(tmp_path)
    # Eight trainings of 0.1 s, asleep, and less than half of that.
    orch("submit", study(orch, fault="step_s: 0.05", budget="budget: {wall: 0.0001}"), code=6)
    (spent,) = told(tmp_path)
    assert spent["event"] == "budget"
    assert 0 < spent["left"] < 8
    assert spent["text"].startswith("news: the budget's wall time of 0.36 s is over; ")


def test_verdicts_are_told_when_they_are_new(tmp_path: Path) -> None:
    orch = told_by(tmp_path, on=["claim"])
    file = orch.study(CLAIMED + CLAIMS)
    orch("submit", file, "--cells", "x=2")
    assert told(tmp_path) == []  # incomplete
    orch("submit", file)
    (decided,) = told(tmp_path)
    assert decided["event"] == "claim"
    assert {each["name"]: each["verdict"] for each in decided["claims"]} == {
        "larger": "holds",
        "smaller": "does not hold",
    }
    file.write_text(file.read_text().replace("levels: [1, 2]", "levels: [1, 2, 3]"))
    assert orch("submit", file, "--json").json["trained"] == 9
    assert told(tmp_path) == []


def test_a_driver_that_stops_by_itself_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orch = told_by(tmp_path)
    orch("submit", study(orch, fault="fault: disk"), code=5)
    (stalled,) = told(tmp_path)
    assert stalled["event"] == "stalled"
    assert "its driver stopped" in stalled["text"]
    assert "No space left" in stalled["reason"]

    def broken(*arguments: object, **named: object) -> None:
        raise TargetError("the cluster is gone")

    monkeypatch.setattr("orchestrator.execution.inline.InlineExecutor.run", broken)
    orch("submit", study(orch), code=5)
    (stalled,) = told(tmp_path)
    assert stalled["text"] == "news: its driver stopped: the cluster is gone"


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def send(self, notice: Any, *, limit_s: float) -> None:
        self.texts.append(f"{notice.event} {notice.text}")


class Clock:
    now = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def watching(kept: Kept, clock: Clock, **more: Any) -> Notices:
    rule = NotifyRule(command=("x",))
    return Notices(
        rules=[(rule, Sender(kept, limit_s=10))],
        study="s",
        submission="s-1",
        stalled_s=600,
        wait_s=10,
        clock=clock,
        **more,
    )


def test_failures_of_before_are_no_news() -> None:
    kept = Kept()
    old, new = TrialKey("old"), TrialKey("new")
    summary = Summary(
        counts={State.FAILED: 2, State.PENDING: 1},
        trained=0,
        evaluated=0,
        failures={old: "long ago", new: "just now"},
        interrupted=True,
    )
    with watching(kept, Clock(), failed_before={old}) as notices:
        notices.ended(summary)
    assert kept.texts == ["failed s: 1 of 3 trials failed, the first: just now"]


def test_silence_is_told_once_until_something_is_heard() -> None:
    kept, clock = Kept(), Clock()
    with watching(kept, clock) as notices:
        for at, heard in ((0, 1), (599, 1), (601, 1), (2000, 1), (2001, 2), (2600, 2), (2602, 2)):
            clock.now = at
            notices.progress(Progress(counts={State.PENDING: 3, State.SUCCEEDED: 4}, heard=heard))
        clock.now = 9000  # what other drivers run is theirs to tell
        notices.progress(Progress(counts={State.RUNNING: 3, State.SUCCEEDED: 4}, heard=2))
    assert kept.texts == ["stalled s: nothing has been heard of its trials for 10 min; 0 run, 3 are left"] * 2


@pytest.fixture
def hanging() -> Iterator[str]:
    """Yields the URL of a server that takes what comes and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/services/canary-secret"


def test_nobody_who_is_told_delays_or_fails_a_study(tmp_path: Path, hanging: str) -> None:
    rules = [
        {"webhook": hanging},
        {"webhook": "${env:NOT_SET_HERE}"},
        {"command": ["/no/such/program"]},
        {"command": ["sh", "-c", "exit 7"]},
        {"command": ["sh", "-c", f"cat > {tmp_path}/heard"], "on": ["done"]},
    ]
    environment = {"ORCH_NOTIFY": json.dumps(rules), "ORCH_NOTIFY_WAIT_S": "1.5", "no_proxy": "*"}
    orch = Orch(directory=tmp_path, environment=environment)
    began = time.monotonic()
    done = orch("submit", study(orch))
    assert time.monotonic() - began < 30
    said = " ".join(done.out.split())
    assert "webhook at 127.0.0.1: 1 of 1 not sent: no answer in time" in said
    assert "webhook of NOT_SET_HERE: the environment variable NOT_SET_HERE is not set" in said
    assert "command /no/such/program: there is no such program" in said
    assert "command sh: 1 of 1 not sent: it ended with exit code 7" in said
    assert "canary" not in done.out + done.err
    assert json.loads((tmp_path / "heard").read_text())["event"] == "done"


def test_doctor_sends_a_test_when_asked(tmp_path: Path) -> None:
    orch = told_by(tmp_path, on=["done"])
    (check,) = [each for each in orch("doctor", "--json").json["checks"] if each["name"] == "notify"]
    assert check == {"name": "notify", "ok": True, "text": "command sh, on done"}
    assert told(tmp_path) == []
    assert "a test notice was taken" in " ".join(orch("doctor", "--notify").out.split())
    assert [each["event"] for each in told(tmp_path)] == ["test"]
    silent = Orch(directory=tmp_path)
    assert "nobody is to be told" in " ".join(silent("doctor", "--notify", code=1).out.split())
    broken = {"ORCH_NOTIFY": json.dumps([{"command": ["sh", "-c", "exit 3"]}])}
    found = Orch(directory=tmp_path, environment=broken)("doctor", "--notify", code=1)
    assert "it ended with exit code 3" in " ".join(found.out.split())
