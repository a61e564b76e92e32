"""`orch doctor` says who could get in."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.app.exposure import exposure, tokenless
from orchestrator.settings import Settings


@contextmanager
def server(status: int) -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "authorization" not in self.headers
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    found = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{found.server_port}"
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


def check(name: str, **settings: object) -> tuple[bool, str]:
    (found,) = [each for each in exposure(Settings(**settings)) if each.name == name]  # type: ignore[arg-type]
    return found.ok, found.text


def test_a_server_without_a_password_is_a_problem(tmp_path: Path) -> None:
    for status, ok, said in (
        (200, False, "asks for no password"),
        (401, True, "refuses"),
        (403, True, "refuses"),
    ):
        with server(status) as place:
            found = check("mlflow", store=str(tmp_path), mlflow_uri=f"http://me:hunter2@{place}")
            assert (found[0], said in found[1], "hunter2" in found[1]) == (ok, True, False)
            jobs = check("jobs", store=str(tmp_path), jobs_address=f"http://{place}")
            assert (jobs[0], said in jobs[1]) == (ok, True)
    assert check("mlflow", store=str(tmp_path), mlflow_uri=f"http://me:hunter2@{place}")[0] is False
    assert "nothing listens" in check("mlflow", store=str(tmp_path), mlflow_uri=None)[1]


def test_a_cluster_without_a_token_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    joined = {"store": str(tmp_path), "ray_address": "head:6379"}
    assert check("ray", store=str(tmp_path))[0]
    assert "run code" in check("ray", **joined)[1]
    assert "RAY_AUTH_MODE=token" in tokenless(Settings(**joined))  # type: ignore[arg-type]
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert tokenless(Settings(**joined)) == ""  # type: ignore[arg-type]
    assert "there is none" in check("ray", **joined)[1]
    (tmp_path / "token").write_text("x" * 64)
    (tmp_path / "token").chmod(0o644)
    assert "chmod 600" in check("ray", **joined)[1]
    (tmp_path / "token").chmod(0o600)
    assert check("ray", **joined)[0]


def test_a_store_that_everybody_may_write_to_is_a_problem(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert "chmod o-w" in check("store's folder", store=str(tmp_path))[1]
    tmp_path.chmod(0o755)
    assert [each.name for each in exposure(Settings(store=str(tmp_path)))] == [
        "ray",
        "mlflow",
        "page",
        "telemetry",
    ]
