"""Commands and webhooks: what they are given, and that nothing of theirs holds anybody up."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import TargetError
from orchestrator.model.notice import Notice
from orchestrator.notification.command import CommandNotifier
from orchestrator.notification.sender import WAITING, Sender
from orchestrator.notification.webhook import WebhookNotifier
from tests.street.orch import until

NOTICE = Notice(
    event="failed", study="s", submission="s-1", text="s: 2 of 9", at=0.0, host="h", details={"failed": 2}
)
SECRET = "/services/T000/canary-secret"


@dataclass
class Server:
    """What was posted, and what is answered: path -> (status, location)."""

    url: str = ""
    posts: list[tuple[str, Any]] = field(default_factory=list)
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    hanging: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    found = Server()
    found.hanging.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            found.hanging.wait(60)
            assert self.headers["Content-Type"] == "application/json"
            found.posts.append((self.path, json.loads(content)))
            status, location = found.answers.get(self.path, (204, ""))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    found.url = f"http://127.0.0.1:{running.server_port}"
    yield found
    found.hanging.set()
    running.shutdown()
    running.server_close()
    thread.join()


def test_a_webhook_gets_the_notice_as_json(server: Server) -> None:
    WebhookNotifier(server.url + SECRET).send(NOTICE, limit_s=10)
    expected = {
        **{"event": "failed", "study": "s", "submission": "s-1", "text": "s: 2 of 9", "host": "h"},
        **{"time": "1970-01-01T00:00:00+00:00", "failed": 2},
    }
    assert server.posts == [(SECRET, expected)]


def test_redirects_stay_on_their_host(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    server.answers = {
        "/old": (302, "/new"),
        "/away": (307, f"http://localhost:{port}/new"),
        "/round": (302, "/round"),
    }
    WebhookNotifier(server.url + "/old").send(NOTICE, limit_s=10)
    assert [path for path, _ in server.posts] == ["/old", "/new"]
    assert server.posts[0][1] == server.posts[1][1]
    with pytest.raises(TargetError, match="307, a redirect to another host"):
        WebhookNotifier(server.url + "/away").send(NOTICE, limit_s=10)
    assert [path for path, _ in server.posts] == ["/old", "/new", "/away"]
    with pytest.raises(TargetError, match="302"):
        WebhookNotifier(server.url + "/round").send(NOTICE, limit_s=10)


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://127.0.0.1:9" + SECRET, "refused"), ("http://no-such-host.invalid" + SECRET, ".")],
)
def test_what_goes_wrong_is_told_without_the_url(
    url: str, said: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TargetError, match=said) as told:
        WebhookNotifier(url).send(NOTICE, limit_s=10)
    assert "canary" not in str(told.value)
    server.answers = {SECRET: (500, "")}
    with pytest.raises(TargetError, match="the server answered 500"):
        WebhookNotifier(server.url + SECRET).send(NOTICE, limit_s=10)


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "file:///etc/passwd", "https://", "https://me:canary@host/x", "http://[x/", "x y"]
)
def test_what_is_no_webhook_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="webhook") as told:
        WebhookNotifier(url)
    assert "canary" not in str(told.value)


def test_a_server_that_hangs_holds_nobody_up(server: Server) -> None:
    server.hanging.clear()
    with pytest.raises(TargetError, match="no answer in time"):
        WebhookNotifier(server.url).send(NOTICE, limit_s=0.2)
    sender = Sender(WebhookNotifier(server.url), limit_s=60)
    began = time.monotonic()
    for _ in range(2 * WAITING):
        sender.put(NOTICE)
    assert time.monotonic() - began < 5
    said = sender.finish(0.1)
    assert time.monotonic() - began < 20
    assert f"{2 * WAITING} of {2 * WAITING} not sent" in said


def test_a_sender_sends_all_in_order(server: Server) -> None:
    sender = Sender(WebhookNotifier(server.url), limit_s=10)
    for number in range(5):
        sender.put(Notice(event="done", text=str(number), at=0.0))
    assert sender.finish(30) == ""
    assert [content["text"] for _, content in server.posts] == list("01234")
    assert Sender(WebhookNotifier(server.url), limit_s=10).finish(0) == ""


SAVE = """
import json, os, sys
found = {name: value for name, value in os.environ.items() if name.startswith("ORCH_NOTIFY_")}
json.dump({"stdin": json.load(sys.stdin), "env": found, "words": sys.argv[2:]}, open(sys.argv[1], "w"))
"""


def test_a_command_gets_the_notice(tmp_path: Path) -> None:
    target = tmp_path / "found.json"
    words = ["$HOME", "; exit 3", "a b"]
    notice = Notice(event="done", study="s", text="a\0b", at=0.0)
    CommandNotifier([sys.executable, "-c", SAVE, str(target), *words]).send(notice, limit_s=60)
    found = json.loads(target.read_text())
    assert found["words"] == words  # no shell has read them
    assert found["stdin"]["text"] == "a\0b"
    assert found["env"] == {
        **{"ORCH_NOTIFY_EVENT": "done", "ORCH_NOTIFY_STUDY": "s", "ORCH_NOTIFY_SUBMISSION": ""},
        **{"ORCH_NOTIFY_TEXT": "ab", "ORCH_NOTIFY_HOST": ""},
    }


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(TargetError, match="exit code 3: no mail today"):
        CommandNotifier(["sh", "-c", "echo no mail today >&2; exit 3"]).send(NOTICE, limit_s=60)
    with pytest.raises(TargetError, match="does not start: No such file"):
        CommandNotifier(["/no/such/program"]).send(NOTICE, limit_s=60)


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! $$ > {pids}; wait"
    with pytest.raises(TargetError, match="not done in 1 s"):
        CommandNotifier(["sh", "-c", script]).send(NOTICE, limit_s=1)

    def gone() -> bool:
        states = [Path(f"/proc/{pid}/stat") for pid in pids.read_text().split()]
        return not any(path.exists() and path.read_text().split()[2] != "Z" for path in states)

    until(gone, what="the end of both processes")


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    began = time.monotonic()
    CommandNotifier(["sh", "-c", f"sleep 300 & echo $! > {pid}"]).send(NOTICE, limit_s=60)
    assert time.monotonic() - began < 60
    os.kill(int(pid.read_text()), 9)
