"""A table with contrasts, marks and verdicts, byte for byte, and as LaTeX reads it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
from makers import grid
from test_tables_golden import check

from orchestrator.model.plan import State
from orchestrator.model.study import Axis, FailWhen, PrintedValue, Published, TableSpec
from orchestrator.model.table import Table
from orchestrator.tables.build import build
from orchestrator.tables.render import render

# Zhao et al. 2016, Table 4, CIFAR-10: mean and standard deviation of five runs, divided by n.
PRINTED = {
    ("26/14", "Plain"): (0.0788, 0.0019),
    ("26/14", "ResNet"): (0.0662, 0.0024),
    ("26/14", "DFN-MR"): (0.0648, 0.0004),
    ("98/50", "Plain"): None,
    ("98/50", "ResNet"): (0.0526, 0.0009),
    ("98/50", "DFN-MR"): (0.0499, 0.0013),
}
# Plain and ResNet as printed, DFN-MR of 26/14 far from it; at 98/50 Plain fails and DFN-MR has one seed.
ERRORS = {
    ("26/14", "Plain"): (0.0771, 0.0812, 0.0776, 0.0795, 0.0786),
    ("26/14", "ResNet"): (0.0648, 0.0691, 0.0636, 0.0684, 0.0651),
    ("26/14", "DFN-MR"): (0.0668, 0.0672, 0.0665, 0.0670, 0.0669),
    ("98/50", "Plain"): (0.9, 0.9, 0.9, 0.08, 0.9),
    ("98/50", "ResNet"): (0.0520, 0.0536, 0.0531, 0.0517, 0.0526),
}


def table() -> Table:
    sizes, networks = ("26/14", "98/50"), ("Plain", "ResNet", "DFN-MR")
    made = grid({"size": sizes, "network": networks}, ERRORS)
    labels = {"size": "98/50", "network": "DFN-MR"}
    made.value(made.plan(labels, seed=0), 0.0497, seed=0)
    made.state(made.plan(labels, seed=1), State.PENDING)
    values = tuple(
        PrintedValue(
            labels={"size": size, "network": network, "data": "CIFAR-10"},
            metric="test_error",
            value=printed[0] if printed else None,
            std=printed[1] if printed else None,
            n=5,
            ddof=0,
            fail=printed is None,
        )
        for (size, network), printed in PRINTED.items()
    )
    spec = TableSpec(
        name="verdicts",
        caption="Test error beside Table 4",
        rows=Axis(dimensions=("size",)),
        columns=Axis(dimensions=("network",)),
        metrics=("test_error",),
        percent=True,
        best="min",
        within=("size",),
        fail_when=FailWhen(metric="test_error", comparison=">", threshold=0.5),
        baseline={"network": "ResNet"},
        contrasts=("difference", "interval", "p"),
        published=Published(values=values, matches={"data.name": ("cifar10",)}),
    )
    return build(spec, made.frame(), differences=dict.fromkeys({a.cell for a in made.assignments}, ""))


@pytest.mark.parametrize("format", ["md", "latex", "csv", "html"])
def test_every_format(format: str) -> None:
    check(f"verdicts.{format}", render(table(), format))


def test_json_has_them_in_the_entry() -> None:
    document = json.loads(render(table(), "json"))
    assert document["rows"] == [["26/14"], ["98/50"]]
    fused = document["entries"][0][2]
    assert fused["close"] is True
    assert fused["contrast"]["difference"] == pytest.approx(0.00068)
    assert fused["published"]["verdict"] == "not reproduced"
    assert fused["published"]["margin"] == pytest.approx(2 * 0.0004 * math.sqrt(5 / 4))
    assert "contrast" not in document["entries"][0][1]  # the baseline's own


def test_latex_compiles(tmp_path: Path) -> None:
    engine = next(filter(None, map(shutil.which, ("pdflatex", "tectonic", "xelatex", "lualatex"))), None)
    if engine is None:
        pytest.skip("not run here: no TeX (pdflatex, tectonic, xelatex or lualatex) on this machine")
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage[T1]{fontenc}\n\\begin{document}\n"
    (tmp_path / "t.tex").write_text(f"{head}{render(table(), 'latex')}\\end{{document}}\n", encoding="utf-8")
    options = [] if "tectonic" in engine else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(
        [engine, *options, "t.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "t.pdf").stat().st_size > 1000
