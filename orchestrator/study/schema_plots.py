"""Plots in a study file: what is drawn of which observations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.study.schema_values import (
    AxisFile,
    CentreShow,
    File,
    Remark,
    Text,
    WhereFile,
    Words,
)


class PlotFile(File):
    """A figure of the paper: the entries of a table, drawn."""

    kind: Literal["lines", "bars", "points", "curves", "heatmap", "histogram", "scatter", "spread", "forest"]
    table: Text | None = Field(None, description="Of a forest: a table with a baseline")
    from_: Words | None = Field(None, alias="from")
    where: WhereFile = {}
    x: AxisFile | None = Field(None, description="Along the axis; of a scatter the name of an attribute")
    y: AxisFile | None = Field(None, description="Rows of a heat map")
    series: AxisFile | None = None
    points: Words | None = Field(None, description="Dimensions that give a scatter or a histogram its points")
    panels: Text | None = Field(None, description="A dimension with one panel for each label")
    metric: Text | None = None
    metrics: list[Text] | None = None
    show: CentreShow = "mean ± std"
    std: Literal["sample", "population"] = "sample"
    percent: bool = False
    fail_when: Text | None = None
    average_over: Words = ()
    at: Text | None = None
    bins: int | None = Field(None, ge=1, le=1000)
    scale: Literal["linear", "log"] = "linear"
    x_scale: Literal["linear", "log"] = "linear"
    x_label: Remark = ""
    y_label: Remark = ""
    size: Literal["column", "page"] = "column"
    notes: bool = True
    caption: Remark = ""
