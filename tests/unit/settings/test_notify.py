"""`[[notify]]`: who is told of what, and that no webhook is ever printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.app.launch import _environment
from orchestrator.app.run import Running
from orchestrator.cli.main import run
from orchestrator.errors import UsageError
from orchestrator.model.notice import Happened
from orchestrator.settings import load_settings

HOOK = "https://hooks.example.org/services/T000/canary-secret"
TEXT = f"""
[[notify]]
command = ["echo", "token=canary"]
on = ["failed", "done"]

[[notify]]
webhook = "{HOOK}"

[targets.lab]
notify = [{{webhook = "${{env:LAB_HOOK}}", on = ["claim"]}}, {{webhook = "{HOOK}"}}]
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ORCH_STORE", str(tmp_path / "store"))
    for name in ("ORCH_NOTIFY", "ORCH_TARGET", "LAB_HOOK"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "orch.toml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def test_rules_come_from_the_file_the_target_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    command, hook = load_settings().notify
    assert (command.command, command.on) == (("echo", "token=canary"), (Happened.DONE, Happened.FAILED))
    assert (hook.webhook, hook.on) == (HOOK, tuple(Happened))
    lab, _ = load_settings({"target": "lab"}).notify
    assert (lab.webhook, lab.on) == ("${env:LAB_HOOK}", (Happened.CLAIM,))
    monkeypatch.setenv("ORCH_NOTIFY", json.dumps([{"webhook": HOOK}]))
    assert [rule.webhook for rule in load_settings({"target": "lab"}).notify] == [HOOK]
    monkeypatch.setenv("ORCH_NOTIFY", "[]")
    assert load_settings().notify == ()


def test_no_webhook_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert "canary" not in repr(load_settings({"target": "lab"}))
    for arguments in (["config"], ["config", "--json"], ["config", "--target", "lab"], ["doctor"]):
        run(arguments)
        said = capfd.readouterr()
        assert "canary" not in said.out + said.err, arguments
        assert "hooks.example.org" in said.out


def test_a_driver_in_a_cluster_is_handed_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    found = _environment(load_settings({"target": "lab"}), Running())
    assert "canary" not in json.dumps(found)
    assert json.loads(found["ORCH_NOTIFY"]) == [
        {"command": [], "webhook": "${env:LAB_HOOK}", "on": ["claim"]},
    ]
    assert "does not know the webhook at hooks.example.org" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('notify = "x"', "a list of tables"),
        ("[notify]\ncommand = ['x']", "a list of tables"),
        ("[[notify]]\ncommand = 'echo x'", "1st .*a list of words"),
        ("[[notify]]\non = ['done']", "either command or webhook"),
        (f"[[notify]]\ncommand = ['x']\nwebhook = '{HOOK}'", "either command or webhook"),
        (f"[[notify]]\nwebhook = '{HOOK}'\n[[notify]]\nwebhook='{HOOK}'\non=['later']", "2nd .*done, failed"),
        (f"[[notify]]\nwebhook = '{HOOK}'\nurl = '{HOOK}'", "'url', allowed are command"),
        (f"webhook = '{HOOK}'", "known settings"),
        ("[[notify]]\nwebhook = 'https://me:canary@host/x'", "a user name or password"),
        ("[[notify]]\nwebhook = 'gopher://canary'", "allowed are https"),
    ],
)
def test_what_is_wrong_is_told_without_the_webhook(project: Path, text: str, said: str) -> None:
    (project / "orch.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said) as told:
        load_settings()
    assert "canary" not in str(told.value)
