"""Targets: tables of settings that stand for the file's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.main import run
from orchestrator.errors import UsageError
from orchestrator.settings import load_settings, origins

TEXT = """
data_dir = "here"
max_concurrent = 3

[targets.lab]
data_dir = "/shared/data"
ray_address = "10.0.0.1:6379"

[targets.desk]
max_concurrent = 1
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("ORCH_TARGET", "ORCH_DATA_DIR", "ORCH_RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "orch.toml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def test_a_targets_settings_stand_for_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, lab, desk = (load_settings({"target": name}) for name in (None, "lab", "desk"))
    assert (plain.data_dir, plain.max_concurrent, plain.ray_address) == (Path("here"), 3, None)
    assert (lab.data_dir, lab.max_concurrent, lab.ray_address) == (Path("/shared/data"), 3, "10.0.0.1:6379")
    assert (desk.data_dir, desk.max_concurrent, desk.ray_address) == (Path("here"), 1, None)
    monkeypatch.setenv("ORCH_TARGET", "lab")
    assert load_settings().data_dir == Path("/shared/data")
    # flags and the environment are stronger
    assert load_settings({"data_dir": Path("mine")}).data_dir == Path("mine")
    monkeypatch.setenv("ORCH_DATA_DIR", "/elsewhere")
    found = load_settings()
    assert (found.data_dir, found.ray_address) == (Path("/elsewhere"), "10.0.0.1:6379")
    sources = origins()
    assert (sources["data_dir"], sources["ray_address"], sources["max_concurrent"], sources["target"]) == (
        *("ORCH_DATA_DIR", "target lab", "orch.toml", "ORCH_TARGET"),
    )


def test_the_users_file_may_hold_targets_too(project: Path) -> None:
    (project / "orch.toml").unlink()
    (project / "config" / "orch").mkdir(parents=True)
    (project / "config" / "orch" / "config.toml").write_text(TEXT, encoding="utf-8")
    assert load_settings({"target": "lab"}).data_dir == Path("/shared/data")


def test_the_flag_stands_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["--target", "lab", "config"], ["config", "--target=lab"]):
        assert run(["--json", *line]) == 0
        settings = json.loads(capsys.readouterr().out)["settings"]
        assert settings["data_dir"] == {"value": "/shared/data", "origin": "target lab"}
    assert run(["config", "--target"]) == 2
    assert "--target wants the name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"target: got 'lab' \(flag\), known are: none"),
        ("[targets.desk]\n", "known are: desk; write \\[targets.lab\\] into orch.toml"),
        ("[targets.lab]\ntarget = 'x'\n", "'target' has no place"),
        ("[targets.lab]\nmax_concurrent = 0\n", r"'max_concurrent' \(target\)"),
        ("[targets.lab]\ndata_dri = 'x'\n", r"'data_dri' .*known settings"),
        ("[targets]\nlab = 3\n", "targets.lab"),
    ],
)
def test_what_is_wrong_is_told(text: str, said: str, project: Path) -> None:
    (project / "orch.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        load_settings({"target": "lab"})
