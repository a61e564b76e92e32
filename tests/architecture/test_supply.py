"""What is installed: pinned and hashed, its licences listed; and nothing is told to anybody."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import audit
from scripts.licences import FILES, PAGE, licence, pinned

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("file", FILES)
def test_everything_is_pinned_and_hashed(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 20
    for line in lines:
        assert re.match(r"[A-Za-z0-9._\[\],-]+==\S+ ", line), line[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line[:80]
    assert "--require-hashes" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_pinned_package_has_its_licence_on_the_page() -> None:
    listed = dict(re.findall(r"^\| (\S+) \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.M))
    assert set(listed) - {"package"} == set(pinned()), "write it again: python -m scripts.licences"
    for name in ("ray", "mlflow", "torch", "typer"):
        assert listed[name] == licence(name), "write it again: python -m scripts.licences"
    # What orch itself is made of may be used in closed software, too.
    strict = [name for name, told in listed.items() if re.search(r"(?<!L)GPL", told)]
    assert {pinned()[name] for name in strict} <= {"development"}, strict


def test_the_audit_says_where_it_cannot_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "SERVICE", "no.such.host.invalid")
    assert audit.main() == 0
    assert "not run here" in capsys.readouterr().out


def test_nothing_tells_its_makers_how_it_is_used() -> None:
    from orchestrator.execution.ray_cluster import SETTINGS
    from orchestrator.tracking.mlflow import _ENVIRONMENT

    assert SETTINGS["RAY_USAGE_STATS_ENABLED"] == "0"
    assert _ENVIRONMENT["MLFLOW_DISABLE_TELEMETRY"] == "true"
    # as the libraries themselves understand it
    code = (
        "from orchestrator.tracking.mlflow import _api; _api()\n"
        "import mlflow.telemetry.utils as u\n"
        "print('off' if u.is_telemetry_disabled() else 'on')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "off"
    for file in (ROOT / "deploy").rglob("*"):
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        # in a shell's line or in YAML's list of arguments
        if file.suffix in (".yaml", ".yml", ".sh", ".sbatch") and re.search(r"\bray start\b", text):
            assert "--disable-usage-stats" in text or "RAY_USAGE_STATS_ENABLED" in text, file
