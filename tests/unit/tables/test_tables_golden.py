"""Whole tables, byte for byte, from hand-made frames in the shapes of Zhao et al.'s tables.

The files in tests/golden/tables were read against the numbers below when they were written; to write
them anew after a wanted change: `ORCH_WRITE_GOLDEN=1 python -m pytest tests/unit/tables`, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from makers import Made, zhao

from orchestrator.model.plan import Dimension, State
from orchestrator.model.study import Axis, FailWhen, TableSpec
from orchestrator.tables.build import build
from orchestrator.tables.render import render

GOLDEN = Path(__file__).parents[2] / "golden" / "tables"
BEYOND_HALF = FailWhen(metric="test_error", comparison=">", threshold=0.5)

ZHAO = [
    TableSpec(
        name="table_2",
        caption="Each component and the whole, with and without weight sharing",
        evaluations=("test", "members", "vote"),
        where={"sharing": ("W/O", "W/"), "ensemble": ("Ensemble-8",)},
        rows=Axis(dimensions=("depth", "sharing")),
        columns=Axis(dimensions=("component",)),
        metrics=("test_error",),
        percent=True,
        fail_when=BEYOND_HALF,
    ),
    TableSpec(
        name="table_3",
        evaluations=("without", "test"),
        where={"sharing": ("W/",), "ensemble": ("Ensemble-8",), "component": ("Overall",)},
        rows=Axis(dimensions=("depth",)),
        columns=Axis(dimensions=("removed",)),
        metrics=("test_error",),
        show="mean",
        percent=True,
        best="max",
        within=("depth",),
    ),
    TableSpec(
        name="figure_5",
        evaluations=("test", "without"),
        where={"sharing": ("W/",), "component": ("Overall",)},
        rows=Axis(dimensions=("depth",)),
        columns=Axis(
            selections={
                "Ensemble-8": {"ensemble": ("Ensemble-8",), "removed": ("nothing",)},
                "Ensemble-7": {"ensemble": ("Ensemble-7",), "removed": ("nothing",)},
                "Ensemble-7 w/o retraining": {"ensemble": ("Ensemble-8",), "removed": ("RRR",)},
            }
        ),
        metrics=("test_error",),
    ),
]

TABLE_4 = TableSpec(
    name="table_4",
    caption="Test error in % & its standard deviation",
    rows=Axis(dimensions=("size",)),
    columns=Axis(dimensions=("data", "network")),
    metrics=("test_error",),
    percent=True,
    best="min",
    within=("data", "size"),
    fail_when=BEYOND_HALF,
    attributes={"parameters": {"network": ("ResNet",), "data": ("CIFAR-10",)}},
)


def table_4_study() -> Made:
    """Five seeds around printed means; two diverged plain nets, one failed trial, one pending."""
    made = Made(
        [
            Dimension(name="data", labels=("CIFAR-10", "SVHN")),
            Dimension(name="size", labels=("26/14", "98/50")),
            Dimension(name="network", labels=("Plain", "ResNet", "DFN-MR")),
        ]
    )
    means = {
        ("CIFAR-10", "26/14", "Plain"): 0.0788,
        ("CIFAR-10", "26/14", "ResNet"): 0.0662,
        ("CIFAR-10", "26/14", "DFN-MR"): 0.0648,
        ("CIFAR-10", "98/50", "Plain"): 0.1400,
        ("CIFAR-10", "98/50", "ResNet"): 0.0526,
        ("CIFAR-10", "98/50", "DFN-MR"): 0.0499,
        ("SVHN", "26/14", "ResNet"): 0.0190,
        ("SVHN", "26/14", "DFN-MR"): 0.0190,
        ("SVHN", "98/50", "ResNet"): 0.0191,
        ("SVHN", "98/50", "DFN-MR"): 0.0184,
    }
    for (data, size, network), mean in means.items():
        for seed in range(5):
            labels = {"data": data, "size": size, "network": network}
            trial = made.plan(labels, seed=seed, key=f"{data} {size} {network} {seed}")
            if (data, size, network, seed) == ("SVHN", "98/50", "ResNet", 4):
                made.state(trial, State.FAILED, cause="out of memory", message="CUDA out of memory <4 GB>")
            elif (data, size, network, seed) == ("SVHN", "98/50", "DFN-MR", 4):
                made.state(trial, State.RUNNING)
            elif size == "98/50" and network == "Plain" and seed < 2:
                made.state(trial, State.DIVERGED)
            else:
                made.value(trial, mean + (seed - 2) / 1000, seed=seed)
                size_of = {"26/14": 370_000, "98/50": 1_540_000}[size] + 80 * (network == "Plain")
                made.value(trial, size_of, metric="parameters", evaluation="network", seed=seed)
    return made


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("ORCH_WRITE_GOLDEN"):
        path.write_bytes(text.encode())
    assert text.encode() == path.read_bytes()


@pytest.mark.parametrize("format", ["md", "latex", "csv", "html", "json"])
@pytest.mark.parametrize("spec", ZHAO, ids=lambda spec: spec.name)
def test_tables_of_zhao(spec, format):
    check(f"{spec.name}.{format}", render(build(spec, zhao().frame()), format))


@pytest.mark.parametrize("format", ["md", "latex", "csv", "html", "json"])
def test_table_4(format):
    check(f"table_4.{format}", render(build(TABLE_4, table_4_study().frame()), format))


def test_figure_5_s_third_column_is_table_3_without_the_deepest():
    frame = zhao().frame()
    table_3, figure_5 = build(ZHAO[1], frame), build(ZHAO[2], frame)
    without_deepest = table_3.columns.index(("RRR",))
    for row_3, row_5 in zip(table_3.entries, figure_5.entries, strict=True):
        assert row_5[2].values == row_3[without_deepest].values
        assert row_5[0].values == row_3[-1].values
