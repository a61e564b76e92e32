"""What is installed has all that it needs: a wheel, somewhere else, without this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.street.orch import ROOT

PARTS = ("dashboards", "orchestrator", "workloads")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel's files, built from a copy: a build leaves things behind."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, source / file)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "--wheel-dir", folder, source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_nothing_is_left_out(installed: Path) -> None:
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            # A template of migrations is for those who write them.
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".mako"):
                assert (installed / path.relative_to(ROOT)).is_file(), path


def test_the_page_is_served_from_there(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "ORCH_STORE": str(tmp_path / "store")}
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.main", "ui", "--port", "0", "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            for path in ("", "static/style.css", "static/page.js", "compare"):
                request = urllib.request.Request(
                    told["url"] + path, headers={"authorization": f"Bearer {told['token']}"}
                )
                with urllib.request.urlopen(request, timeout=60) as answer:
                    assert answer.status == 200
        finally:
            process.terminate()
    where = subprocess.run(
        [sys.executable, "-c", "import dashboards; print(dashboards.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(installed) in where.stdout
