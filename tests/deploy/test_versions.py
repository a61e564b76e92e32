"""The table of versions, and what every README of deploy/ must tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator import __version__
from tests.deploy.files import DEPLOY, pinned

README = DEPLOY / "README.md"


def table() -> dict[str, str]:
    text = README.read_text(encoding="utf-8").split("## Versions")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| (\w[\w ]*?) \| ([\d.]+) \|", text, re.MULTILINE))


def every_file() -> str:
    paths = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix not in (".md", ".pyc")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_the_table_is_that_of_the_lock() -> None:
    found = table()
    assert found["orch"] == __version__
    for name in ("Ray", "MLflow", "torch"):
        assert found[name] == pinned(name.lower()), name


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("Python", r"FROM python:([\d.]+)"),
        ("Ray", r"rayVersion: ([\d.]+)"),
        ("PostgreSQL", r"image: postgres:([\d.]+)"),
        ("SeaweedFS", r"image: chrislusf/seaweedfs:([\d.]+)"),
        ("Prometheus", r"image: prom/prometheus:v([\d.]+)"),
        ("Grafana", r"image: grafana/grafana:([\d.]+)"),
    ],
)
def test_every_file_has_the_version_of_the_table(name: str, pattern: str) -> None:
    assert set(re.findall(pattern, every_file())) == {table()[name]}


def test_kuberay_is_the_one_whose_fields_are_checked() -> None:
    source = (Path(__file__).parent / "test_kubernetes.py").read_text(encoding="utf-8")
    assert f"as of KubeRay {table()['KubeRay']}" in source
    assert f'VERSION = "{table()["Kubernetes"]}"' in source
    assert f"--version {table()['KubeRay']}" in (DEPLOY / "kubernetes" / "README.md").read_text(
        encoding="utf-8"
    )


def test_every_way_is_told_with_one_command_up_and_one_down() -> None:
    folders = {path.name for path in DEPLOY.iterdir() if path.is_dir() and not path.name.startswith("_")}
    text = README.read_text(encoding="utf-8")
    for name in folders - {"docker"}:
        assert f"{name}/" in text, name
    for name in ("compose", "kubernetes", "native", "ray", "slurm", "systemd"):
        own = (DEPLOY / name / "README.md").read_text(encoding="utf-8")
        for word in ("ports" if name not in ("compose", "systemd") else "127.0.0.1", "ecret", "smoke"):
            assert word in own, (name, word)
    assert "**Not verified**" in text


def test_no_file_holds_a_secret() -> None:
    for match in re.finditer(
        r"(?i)(password|secret|token)[\w-]*\s*[:=]\s*[\"']?(?=[a-z+]*[0-9])([A-Za-z0-9+]{16,})", every_file()
    ):
        pytest.fail(f"this looks like a secret: {match[0]}")
