"""The documentation: made pages are fresh, links lead somewhere, and what the guide shows runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.street.orch import ROOT, Orch
from workloads.api import Placement, Report, load_object

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "dashboards/**/*.md", "studies/**/*.md")
    for path in ROOT.glob(pattern)
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(path: Path) -> set[str]:
    """Returns what links into a page may name: its headings as code hosts write them."""
    found = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            text = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(text.replace(" ", "-"))
    return found


def prose(text: str) -> str:
    """Returns a page without its code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for found in _LINK.finditer(prose(page.read_text(encoding="utf-8"))):
        target = found[1] or found[2]
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page}: {target}"
        assert path.is_relative_to(ROOT), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page}: {target}"


def test_there_are_pages() -> None:
    assert len(PAGES) > 30
    assert _LINK.search("see [this](x.md)")


def test_pages_that_are_made_are_fresh() -> None:
    command = [sys.executable, "scripts/pages.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python scripts/pages.py`: {done.stdout}"


@pytest.mark.slow
def test_the_guides_study_runs_to_its_table(tmp_path: Path) -> None:
    folder = tmp_path / "my_study"
    shutil.copytree(ROOT / "docs/examples/own_network", folder, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {"ORCH_WORKLOAD_MODULES": "my_net", "PYTHONPATH": f"{ROOT}:{folder}"}
    orch = Orch(directory=folder, spawn=True, environment=environment)
    planned = orch("plan", "study.yaml", "--json").json["counts"]
    assert (planned["cells"], planned["trainings"], planned["evaluations"]) == (4, 20, 120)
    assert planned["searches"] == 4
    few = folder / "few.yaml"
    few.write_text("extends: study.yaml\nstudy: few\nsearch: {trials: 2}\nconfig: {epochs: 2}\n")
    done = orch("submit", "few.yaml", "--seeds", "1", "--cells", "hidden=16").out
    assert "Test error, on clean and on noisy images" in done
    assert "2 trained, 12 evaluated, 4 candidates tried" in done
    key = orch("show", "few", "--json").json["trials"][0]["trial"]
    assert "bit for bit" in orch("reproduce", key, "--check").out


def test_the_guides_network_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs/examples/own_network"))
    spec = load_object("my_net.spec:SPEC")
    workload, config = load_object(spec.runtime), spec.config(epochs=4, dropout=0.5)

    def reports(resume: dict[int, Path]) -> list[Report]:
        found = []
        for report in workload.train(config, seeds=[3], data=tmp_path, resume=resume, placement=Placement()):
            if not resume and report.step == 2:
                (tmp_path / "half").mkdir()
                report.save(tmp_path / "half")
            found.append(report)
        return found

    whole, rest = reports({}), reports({0: tmp_path / "half"})
    assert [dict(each.metrics) for each in rest] == [dict(each.metrics) for each in whole[2:]]
