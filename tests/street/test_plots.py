"""`orch plot`, as a user runs it, on a workload without torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import pytest

from orchestrator.app.run import build_mirror
from orchestrator.app.session import open_session
from orchestrator.settings import load_settings
from tests.street.orch import Orch
from tests.street.test_street import STUDY

PLOTS = """
plots:
  by_x:
    kind: lines
    from: [test, scaled, vote]
    where: {fault: none}
    x: x
    series: by
    metric: test_error
    caption: Errors <by> & x
  losses: {kind: curves, series: x, metric: error}
"""


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    return Orch(directory=tmp_path)


def test_plots_are_files_whose_numbers_are_the_tables(orch: Orch) -> None:
    file = orch.study(STUDY + PLOTS)
    orch("submit", file)
    out = orch("plot", "demo").out
    assert (orch.directory / "plots" / "by_x.pdf").read_bytes().startswith(b"%PDF")
    assert (orch.directory / "plots" / "losses.pdf").is_file()
    assert "plots/by_x.pdf: Errors <by> & x" in out
    asked = orch("plot", "demo", "by_x", "--to", "deep/figures", "-f", "png", "--json").json
    assert [path.name for path in (orch.directory / "deep" / "figures").iterdir()] == ["by_x.png"]
    points = asked["plots"][0]["panels"][0]["points"]
    (table,) = orch("table", "demo", "errors", "--json").json["tables"]
    printed = [entry for line in table["entries"] for entry in line if entry["planned"]]
    assert [(p["estimate"], p["spread"], p["n"]) for p in points] == [
        (e["estimate"], e["spread"], e["n"]) for e in printed
    ]


def test_a_plot_needs_no_results(orch: Orch) -> None:
    file = orch.study(STUDY + PLOTS)
    orch("submit", file, "--cells", "x=1", "--seeds", "0")
    found = orch("plot", "demo", "--json").json["plots"][0]
    assert any("lack results" in note for note in found["notes"])


def test_wrong_requests_are_told(orch: Orch) -> None:
    file = orch.study(STUDY + PLOTS)
    orch("submit", file, "--seeds", "0")
    assert "it has: by_x, losses" in orch("plot", "demo", "by_y", code=3).err
    assert "pdf, svg, png" in orch("plot", "demo", "-f", "gif", code=2).err
    (orch.directory / "taken").write_text("")
    assert "--to taken" in orch("plot", "demo", "--to", "taken", code=2).err
    orch.study(STUDY)
    assert "declares no plots" in orch("plot", "study.yaml", code=3).err


def test_the_mirror_shows_plots_beside_tables(orch: Orch) -> None:
    orch("submit", orch.study(STUDY + PLOTS), "--seeds", "0")
    uri = f"sqlite:///{orch.directory}/mlflow.db"
    with mock.patch.dict(os.environ, {**orch.env, "ORCH_MLFLOW_URI": uri}, clear=True):
        with open_session(load_settings()) as session:
            mirror = build_mirror(session)
        assert mirror is not None
        texts = mirror.texts("demo")
    assert json.loads(texts["tables/errors.json"])["name"] == "errors"
    assert texts["plots/by_x.svg"].startswith("<?xml")
    assert "plots/losses.svg" in texts
