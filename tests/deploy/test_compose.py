"""The compose stack, as far as it can be looked at without Docker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Settings
from orchestrator.store.objects import Objects
from tests.contracts.object_server import Server, s3_server
from tests.deploy.files import DEPLOY, OURS, ROOT, is_pinned, read

__all__ = ["s3_server"]

FOLDER = DEPLOY / "compose"
FILE = FOLDER / "compose.yaml"
ONCE = {"prepare", "orch"}  # they end by themselves


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(FILE)["services"]
    return found


def test_it_follows_the_compose_specification() -> None:
    command = [
        Path(sys.executable).parent / "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        FILE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_images_are_pinned_and_maintained(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert is_pinned(service["image"]), name
        assert "minio" not in service["image"]  # archived, and its images are gone
        assert ("build" in service) == bool(OURS.match(service["image"])), name


def test_every_port_is_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) >= 7
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_servers_are_waited_for(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert ("healthcheck" in service) == (name not in ONCE), name
        for other, condition in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert condition["condition"] == expected, (name, other)
    assert read(FILE)["volumes"].keys() == {
        volume.partition(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }


def test_what_is_mounted_is_there(services: dict[str, dict[str, Any]]) -> None:
    mounted = [
        volume.split(":")
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert mounted
    for source, _, mode in mounted:
        assert (FOLDER / source).exists(), source
        assert mode == "ro"


def test_our_containers_have_no_rights(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if OURS.match(service["image"]):
            assert service["cap_drop"] == ["ALL"], name
            assert "no-new-privileges:true" in service["security_opt"]
            assert ("user" in service) == (name == "prepare"), name  # which gives files to their readers
        assert not service.get("privileged")


def test_both_sides_of_the_cluster_have_the_token(services: dict[str, dict[str, Any]]) -> None:
    for name in ("ray-head", "ray-worker", "orch"):
        environment = services[name]["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")


def test_settings_are_settings(services: dict[str, dict[str, Any]]) -> None:
    names = {name for service in services.values() for name in service.get("environment", {})}
    ours = {name.removeprefix("ORCH_").lower() for name in names if name.startswith("ORCH_")}
    assert "store" in ours
    assert ours <= Settings.model_fields.keys()


def test_no_secret_is_in_a_file_and_each_variable_is_explained() -> None:
    text = FILE.read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", text))
    example = dict(
        line.split("=", 1)
        for line in (FOLDER / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert used == example.keys()
    for name in re.findall(r"(\w*(?:PASSWORD|SECRET|TOKEN|KEY)\w*): (?!\$\{)\S+", text):
        assert name in ("AWS_ACCESS_KEY_ID",), name
    for name, value in example.items():
        assert (value == "generate") == bool(re.search("PASSWORD|SECRET|TOKEN|KEY", name)), name
        required = f"${{{name}:?" in text
        assert required == (value == "generate"), name


def test_up_makes_secrets_once_and_starts_the_stack(tmp_path: Path) -> None:
    for name in ("up.sh", ".env.example"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\necho "$@" >>"$(dirname "$0")/../calls"\n')
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{docker.parent}:{os.environ['PATH']}"}

    def up() -> str:
        command = ["bash", str(tmp_path / "up.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    said = up()
    made = (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    secrets = re.findall(r"^(?:\w*(?:PASSWORD|SECRET|TOKEN|KEY)\w*)=(\w+)$", made, re.MULTILINE)
    assert len(secrets) == len(set(secrets)) == 7
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in secrets)
    assert "WORKERS=1" in made
    token = re.search("PAGE_TOKEN=(.*)", made)
    assert token is not None
    assert f"?token={token[1]}" in said
    up()
    assert (tmp_path / ".env").read_text() == made
    assert (tmp_path / "calls").read_text() == "compose up --build --detach --wait\n" * 2


@pytest.mark.slow
def test_what_the_servers_need_is_made_once(
    s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script of the service `prepare`, on a real S3 server and a registry in a file."""
    if os.getuid() != 0:
        pytest.skip("not run here: only root gives files to others")
    s3_server.uri()  # starts it
    for name in ("tokens", "panels"):
        (tmp_path / name).mkdir()
    environment = {
        **os.environ,
        **s3_server.environment,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ORCH_STORE": "s3://orch/store",
        "ORCH_REGISTRY_URL": f"sqlite:///{tmp_path / 'registry.db'}",
        "PAGE_TOKEN": "f" * 48,
        "TOKENS": str(tmp_path / "tokens"),
        "PANELS": str(tmp_path / "panels"),
        "RAY_PANELS": str(DEPLOY / "monitoring" / "ray_panels.py"),
    }
    for _ in range(2):
        done = subprocess.run(
            ["sh", str(FOLDER / "prepare.sh")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    for name, owner in (("page", 1000), ("prometheus", 65534)):
        found = (tmp_path / "tokens" / name).stat()
        assert (found.st_uid, found.st_mode & 0o777) == (owner, 0o600)
    assert (tmp_path / "registry.db").exists()
    assert (tmp_path / "panels" / "ray.json").stat().st_mode & 0o044
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    Objects("s3://orch/store").require()  # the bucket is there
