"""Who may ask: every route without the token, from foreign names and sites."""

from __future__ import annotations

import json
import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from dashboards.guard import HEADERS, Access, hosts_of
from dashboards.serve import Place, own_names, prepare, token_of
from dashboards.view import Links
from orchestrator.errors import TargetError, UsageError
from orchestrator.settings import Settings
from tests.street.orch import Orch
from tests.unit.dashboards.visitor import Visitor, visited

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with visited(Orch(directory=tmp_path_factory.mktemp("guarded"))) as visitor:
        yield visitor


def routes(ask: Visitor) -> list[str]:
    """Returns a path for every route that the application has."""
    app = ask.page.server.config.app._inner  # type: ignore[union-attr]
    assert isinstance(app, FastAPI)
    waiting, found = list(app.routes), []
    while waiting:
        each = waiting.pop()
        inner = getattr(each, "original_router", None)
        waiting += inner.routes if inner is not None else []
        found += [each.path] if hasattr(each, "path") else []
    assert {"/", "/studies/{study}", "/trials/{prefix}/log", "/static/{name}"} <= set(found)
    return [re.sub(r"\{[^}]*\}", "x", path) for path in found]


def test_every_route_wants_the_token(ask: Visitor) -> None:
    paths = [*routes(ask), "/static/style.css", "/nowhere", "/docs", "/openapi.json", "/favicon.ico"]
    for path in paths:
        for method in METHODS:
            for token in (None, "wrong", ""):
                answer = ask(path, method=method, token=token)
                assert answer.status == 401, (method, path, token, answer.status)
                assert ask.page.token not in answer.text
    for path in paths:
        assert ask(f"{path}?token=wrong", token=None).status == 401
        assert ask(path, token=None, cookie=f"orch-{ask.host.split(':')[1]}=wrong").status == 401
        assert ask(path, token=None, cookie='"; =\x7f').status == 401


def test_a_foreign_name_or_site_is_refused_before_all_else(ask: Visitor) -> None:
    foreign = [
        {"host": "evil.example"},
        {"host": "evil.example:8484"},
        {"host": f"{ask.host}.evil.example"},
        {"host": "127.0.0.1:1"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"http://{ask.host}.evil.example"},
        {"origin": "http://127.0.0.1:1"},
    ]
    for path in [*routes(ask), "/static/style.css"]:
        for method in METHODS:
            for headers in foreign:
                for token in (None, "right"):
                    answer = ask(path, method=method, token=token, **headers)
                    assert answer.status == 403, (method, path, headers)


def test_only_own_pages_change_anything(ask: Visitor) -> None:
    assert ask("/", method="POST").status == 403  # no Origin at all
    assert ask("/", method="POST", origin=f"http://{ask.host}").status == 405
    assert ask("/", method="POST", origin=f"http://{ask.host}", content_length="70000").status == 413


def test_signing_in_sets_a_strict_cookie_and_drops_the_token(ask: Visitor) -> None:
    answer = ask(f"/studies/x?token={ask.page.token}", token=None)
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    assert "; HttpOnly" in cookie
    assert "; SameSite=Strict" in cookie
    assert ask.page.token not in cookie + answer.text
    assert 'url=/studies/x"' in answer.text
    assert ask("/", token=None, cookie=cookie.split(";")[0]).status == 200
    # An address that a browser would read as another site's is none to go on to.
    assert 'url=/"' in ask(f"//evil.example/?token={ask.page.token}", token=None).text


def test_every_answer_keeps_the_browser_strict(ask: Visitor) -> None:
    for path, token in (("/", "right"), ("/nowhere", "right"), ("/", None), ("/static/page.js", "right")):
        answer = ask(path, token=token)
        for name, value in HEADERS.items():
            if name != "cache-control":
                assert answer.headers[name] == value, (path, name)
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "access-control-allow-origin" not in ask("/").headers
    assert "server" not in ask("/").headers


def test_pages_hold_no_inline_script_or_style(ask: Visitor) -> None:
    folder = Path(__file__).parents[3] / "dashboards" / "templates"
    for file in folder.glob("*.html"):
        text = file.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), (
            file.name
        )
        assert "| safe" not in text, file.name


def test_beyond_loopback_only_when_it_is_meant(tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path))
    for host in ("0.0.0.0", "::", "192.0.2.7", "some.host"):
        with pytest.raises(UsageError, match="--allow-remote"):
            prepare(settings, Place(host=host, port=0), Links())
    assert "evil.example" not in own_names(Place(host="0.0.0.0"))
    assert "page.lab" in own_names(Place(host="0.0.0.0", names=("page.lab",)))


def test_a_taken_port_is_told(ask: Visitor, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="--port 0"):
        prepare(Settings(store=str(tmp_path)), Place(port=int(ask.host.rpartition(":")[2])), Links())


def test_hosts_bear_the_port() -> None:
    assert hosts_of(["localhost", "::1"], 8484) == {"localhost:8484", "[::1]:8484"}
    assert hosts_of(["Page.Lab"], 443) == {"page.lab:443", "page.lab"}
    assert hosts_of(["page.lab:9000", "[::1]:9"], 8484) == {"page.lab:9000", "[::1]:9"}
    assert hosts_of(["page.lab:443"], 8484) == {"page.lab:443", "page.lab"}  # behind a proxy with TLS


def test_a_proxys_name_is_answered_and_its_pages_may_send_forms(tmp_path: Path) -> None:
    page = prepare(Settings(store=str(tmp_path)), Place(port=0, names=("page.lab:443",)), Links())
    thread = threading.Thread(target=page.run)
    thread.start()
    try:
        ask = Visitor(page=page)
        assert ask("/", host="page.lab").status == 200
        assert ask("/", host="page.lab", method="POST", origin="https://page.lab").status == 405
        assert ask("/", host="page.lab", method="POST", origin="https://evil.example").status == 403
        assert ask("/", host="other.lab").status == 403
    finally:
        page.stop()
        thread.join(30)
    assert hosts_of(["page.lab:443"], 8484) == {"page.lab:443", "page.lab"}


def test_a_token_file_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = token_of(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert token_of(file) == token
    file.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        token_of(file)
    file.chmod(0o600)
    file.write_text("short\n")
    with pytest.raises(UsageError, match="at least 32"):
        token_of(file)
    with pytest.raises(UsageError, match="folder of yours"):
        token_of(tmp_path / "none" / "token")
    assert len(token_of(None)) >= 32
    assert token_of(None) != token_of(None)


def test_the_token_is_not_in_what_is_printed_of_it() -> None:
    access = Access(hosts=frozenset())
    assert access.token not in repr(access)
    with pytest.raises(ValueError, match="at least 32"):
        Access(token="guess", hosts=frozenset())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to_with_a_page_open(tmp_path: Path, how: signal.Signals) -> None:
    orch = Orch(directory=tmp_path)
    with orch.start("ui", "--port", "0", "--json") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        request = urllib.request.Request(
            f"{told['url']}events", headers={"authorization": f"Bearer {told['token']}"}
        )
        with urllib.request.urlopen(request, timeout=60) as stream:
            assert stream.readline() == b"retry: 3000\n"
            process.send_signal(how)
            assert process.wait(30) == 0
        assert "Traceback" not in process.stdout.read()
