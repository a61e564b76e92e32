"""A canary: a secret that a workload tells everybody is found nowhere afterwards."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import secrets
from pathlib import Path

import pytest

from orchestrator.errors import SecretError
from orchestrator.execution.secrets import Secrets, without_secrets
from tests.street.orch import Orch
from workloads.api import Secret, to_plain

CANARY = secrets.token_hex(12)
STUDY = """
api_version: 1
study: hush
workload: tests.threats.secretive_workload:SPEC
config: {token: '${secret:CANARY}', url: 'https://me:${secret:CANARY}@host/', expects: SHA, saves: plain}
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2]}, fails: {path: fails, levels: [false, true]}}
seeds: 1
evaluate: {asked: {set: {key: '${secret:CANARY}'}, when: {fails: 'false'}}}
tables:
  errors: {rows: x, columns: fails, metric: test_error}
""".replace("SHA", hashlib.sha256(CANARY.encode()).hexdigest())


def orch_in(folder: Path, **environment: str) -> Orch:
    return Orch(
        directory=folder,
        environment={
            "ORCH_WORKLOAD_MODULES": "tests.threats",
            "ORCH_MLFLOW_URI": "",
            "ORCH_MIRROR_WAIT_S": "60",
            **environment,
        },
    )


def places_of(needle: str, folder: Path) -> list[str]:
    """Returns the files below a folder that hold a text."""
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if needle.encode() in path.read_bytes():
            found.append(path.relative_to(folder).as_posix())
    return found


def test_a_secret_reaches_the_workload_and_nothing_else(tmp_path: Path) -> None:
    orch = orch_in(tmp_path, ORCH_SECRET_CANARY=CANARY)
    said = [orch("submit", orch.study(STUDY), code=1)]
    said += [
        orch("show", "hush"),
        orch("table", "hush"),
        orch("table", "hush", "--json"),
        *(orch("logs", each["trial"]) for each in orch("show", "hush", "--json").json["trials"]),
    ]
    said += [orch("report", "hush"), orch("trace", "hush", code=None), orch("export", "hush", code=None)]
    said += [orch("plan", "study.yaml", "--json"), orch("config", "--json"), orch("list", "--json")]
    text = "".join(each.out + each.err for each in said)
    assert CANARY not in text
    assert places_of(CANARY, tmp_path) == []
    # It was there, and masked: in logs, in the failure, in names and coordinates.
    logs = "".join(path.read_text() for path in (tmp_path / "store" / "logs").rglob("*.log"))
    assert "printed *** https://" in logs
    assert "logged ***" in logs
    assert "Secret('${secret:CANARY}')" in logs
    assert "cannot sign in with ***" in text
    # MLflow, the database, Parquet, checkpoints and the report were all written.
    kept = {path.name for path in (tmp_path / "store").rglob("*")}
    assert {"mlflow.db", "registry.db", "config.json"} <= kept
    assert [name for name in kept if name.endswith(".parquet")]
    assert places_of("${secret:CANARY}", tmp_path / "store" / "checkpoints")


def test_another_value_is_the_same_trial(tmp_path: Path) -> None:
    orch = orch_in(tmp_path, ORCH_SECRET_CANARY=CANARY)
    text = STUDY.replace("levels: [false, true]", "levels: [false]")
    orch("submit", orch.study(text))
    again = dataclasses.replace(orch, environment={**orch.environment, "ORCH_SECRET_CANARY": "another one"})
    assert again("submit", "study.yaml", "--json").json["trained"] == 0


def test_a_secret_that_is_not_set_is_told_before_anything_is_written(tmp_path: Path) -> None:
    orch = orch_in(tmp_path)
    told = orch("submit", orch.study(STUDY), code=2).err
    assert "error[secret-missing]: the secret CANARY is not set; set ORCH_SECRET_CANARY" in told
    assert not (tmp_path / "store").exists()
    orch("plan", "study.yaml")  # which needs none


def test_secrets_are_read_from_a_file_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(f'CANARY = "{CANARY}"\n')
    file.chmod(0o600)
    held = Secrets(file=file)
    assert held.value("CANARY") == CANARY
    with pytest.raises(SecretError, match="has no text OTHER"):
        held.value("OTHER")
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(SecretError, match=f"mode {mode:04o}.*chmod 600"):
            held.value("CANARY")
    file.chmod(0o600)
    file.write_text(f"CANARY: {CANARY}\n")
    with pytest.raises(SecretError, match="is no TOML") as told:
        held.value("CANARY")
    assert CANARY not in str(told.value)
    with pytest.raises(SecretError, match="cannot be read"):
        Secrets(file=tmp_path / "none").value("CANARY")
    os.mkfifo(tmp_path / "pipe", 0o600)


def test_the_file_of_the_settings_is_used(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(f'CANARY = "{CANARY}"\n')
    file.chmod(0o600)
    (tmp_path / "orch.toml").write_text('secrets_file = "secrets.toml"\n')
    orch = orch_in(tmp_path, ORCH_MLFLOW_URI="off")
    orch("submit", orch.study(STUDY.replace("levels: [false, true]", "levels: [false]")))
    assert places_of(CANARY, tmp_path) == ["secrets.toml"]


def test_a_checkpoint_with_a_secret_in_it_is_refused(tmp_path: Path) -> None:
    orch = orch_in(tmp_path, ORCH_SECRET_CANARY=CANARY, ORCH_MLFLOW_URI="off")
    text = STUDY.replace("saves: plain", "saves: value").replace("levels: [false, true]", "levels: [false]")
    told = orch("submit", orch.study(text), code=1).out
    assert "the checkpoint holds a secret in config.json: CANARY" in told
    assert places_of(CANARY, tmp_path) == []


def test_nobody_sees_a_secret_in_the_list_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setenv("ORCH_SECRET_CANARY", CANARY)
    orch = orch_in(tmp_path, ORCH_MLFLOW_URI="off")
    with orch.start("submit", orch.study(STUDY)) as driver:
        while driver.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(path.read_text(errors="replace"))
                except OSError:
                    continue
    assert any("orchestrator.cli.main" in each for each in seen)
    assert not [each for each in seen if CANARY in each]


def test_addresses_of_the_settings_take_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.app.session import registry_url
    from orchestrator.settings import Settings

    monkeypatch.setenv("ORCH_SECRET_PW", "a/b:c@d")
    settings = Settings(registry_url="postgresql://me:${secret:PW}@host/db", store=str(tmp_path))
    assert registry_url(settings) == "postgresql://me:a%2Fb%3Ac%40d@host/db"
    shown = settings.model_dump(mode="json")["registry_url"]
    assert "a/b" not in shown
    assert "a%2Fb" not in shown


def test_a_secret_is_shown_as_its_reference() -> None:
    value = Secret("hunter2!", "${secret:PW}")
    assert value == "hunter2!"
    assert "hunter2!" not in repr(value) + repr([value]) + repr({"a": value})
    assert to_plain({"a": [value]}) == {"a": ["${secret:PW}"]}
    assert pickle.loads(pickle.dumps(value)) == "${secret:PW}"


def test_every_form_of_a_secret_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = 'p"ss\\wo/rd é\nsecond-line-of-it'
    monkeypatch.setenv("ORCH_SECRET_ODD", odd)
    Secrets().value("ODD")
    import json
    from urllib.parse import quote

    for form in (odd, json.dumps(odd), repr(odd), quote(odd), quote(odd, safe=""), odd.splitlines()[1]):
        assert "second" not in without_secrets(f"before {form} after"), form
    monkeypatch.setenv("ORCH_SECRET_SHORT", "abc")
    with pytest.raises(SecretError, match="4 and more"):
        Secrets().value("SHORT")
