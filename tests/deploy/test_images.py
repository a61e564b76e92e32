"""The images: built from pinned parts, run by nobody in particular, of the versions that clients have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import __version__
from tests.deploy.files import DEPLOY, OURS, ROOT, is_pinned, pinned

FILES = ("docker/Dockerfile", "docker/Dockerfile.gpu")
BIN = Path(sys.executable).parent


def content(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_hadolint_finds_nothing(name: str) -> None:
    done = subprocess.run([BIN / "hadolint", DEPLOY / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_every_stage_is_pinned_and_the_last_runs_as_a_plain_user(name: str) -> None:
    bases = re.findall(r"^FROM (\S+)", content(name), re.MULTILINE)
    assert len(bases) == 2
    assert all(is_pinned(base) for base in bases)
    users = re.findall(r"^USER (\S+)", content(name).rpartition("\nFROM ")[2], re.MULTILINE)
    assert users == ["1000:1000"]


@pytest.mark.parametrize("name", FILES)
def test_python_is_the_one_that_is_tested(name: str) -> None:
    for version in re.findall(r"^FROM python:(\d+\.\d+)", content(name), re.MULTILINE):
        assert version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f'image.version="{__version__}"' in content(name)


def test_the_cpu_image_leaves_out_nothing_but_cuda() -> None:
    """It installs torch by itself, of the locked version, and everything else from the lock."""
    text = content("docker/Dockerfile")
    assert f"ARG TORCH={pinned('torch')}\n" in text
    assert f"ARG TORCHVISION={pinned('torchvision')}\n" in text
    (command,) = re.findall(r"(awk '.*?' requirements-server\.txt) >cpu\.txt", text)
    kept = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    lock = (ROOT / "requirements-server.txt").read_text(encoding="utf-8")
    whole, left = (re.findall(r"^([a-z0-9][\w.-]*)==", each, re.MULTILINE) for each in (lock, kept))
    gone = set(whole) - set(left)
    assert {"torch", "torchvision", "triton"} < gone
    assert all(name.startswith(("nvidia-", "cuda-")) for name in gone - {"torch", "torchvision", "triton"})
    assert left == [name for name in whole if name not in gone]
    assert kept.count("--hash=") >= len(left)


def test_nothing_that_was_written_here_gets_into_an_image() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    for name in FILES:
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", content(name), re.MULTILINE):
            assert sources == "." or set(sources.split()) <= allowed
    packages = re.search(r"include = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert packages is not None
    assert {each.strip('" *') for each in packages[1].split(",")} <= allowed  # what the package is built from


def test_every_file_names_the_image_of_this_version() -> None:
    named = set()
    for path in sorted(DEPLOY.rglob("*.y*ml")):
        for image in re.findall(r"(?:image|worker_image): (\S+)", path.read_text(encoding="utf-8")):
            if OURS.match(image):
                named.add(image.rpartition(":")[2])
    assert named == {__version__, f"{__version__}-gpu"}
    for path in DEPLOY.rglob("kustomization.yaml"):
        for tag in re.findall(r"newTag: (\S+?)\}?$", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert tag == __version__, path
