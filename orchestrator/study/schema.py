"""The study file as pydantic models: which keys exist, and which kind of value each takes.

What a value means in relation to others (a label that no level has, a circle of `when`) is checked
in `check.py`. `json_schema()` uses draft-07 shapes only, so that editors understand it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.study.schema_claims import ClaimFile
from orchestrator.study.schema_plots import PlotFile
from orchestrator.study.schema_published import Published
from orchestrator.study.schema_search import SearchFile
from orchestrator.study.schema_seeds import SeedRuleFile, Seeds, UntilFile
from orchestrator.study.schema_values import (
    MAX_COUNT,
    AxisFile,
    File,
    FuseFile,
    GivenLabel,
    Label,
    Levels,
    Name,
    Remark,
    Show,
    Test,
    Text,
    WhereFile,
    Words,
)


class ResourcesFile(File):
    """What one trial holds while it runs; never part of its identity."""

    cpu: float = Field(1.0, ge=0)
    gpu: float = Field(0.0, ge=0)
    memory_gb: float = Field(0.0, ge=0)


class ResourceRuleFile(ResourcesFile):
    """Resources of the cells that fit; the last rule that fits wins."""

    when: WhereFile = {}


def _rules(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class FactorFile(File):
    """What varies: in training (`design.factors`) or at test time (`evaluate.*.vary`)."""

    path: Text | None = Field(None, description="Dotted path that a level's value is set at")
    levels: Levels
    when: WhereFile = {}
    otherwise: GivenLabel | None = None


class OverrideFile(File):
    """Patches of the config of the cells that fit."""

    when: WhereFile = {}
    set: dict[str, Any]


class DesignFile(File):
    """How levels combine into cells."""

    type: Literal["factorial", "one_at_a_time", "leave_one_out", "list"]
    factors: dict[Name, FactorFile]
    baseline: dict[str, Label] | None = None
    on: dict[str, Label] | None = None
    cells: dict[Label, dict[str, Label]] | None = None
    zip: list[list[Text]] = []
    exclude: list[WhereFile] = []
    overrides: list[OverrideFile] = []


class EvaluationFile(File):
    """Test-time measurements on trained networks."""

    family: Text | None = None
    set: dict[str, Any] = {}
    vary: dict[Name, FactorFile] = {}
    when: WhereFile = {}
    draws: int = Field(1, ge=1, le=MAX_COUNT)
    gather: Text | None = None
    as_: dict[str, GivenLabel] = Field({}, alias="as")
    resources: ResourcesFile | None = None


class TableFile(File):
    """A table of the paper: which observations, laid out how, shown as which statistic."""

    from_: Words = Field(("test",), alias="from")
    where: WhereFile = {}
    rows: AxisFile = ()
    columns: AxisFile = ()
    metric: Text | None = None
    metrics: list[Text] | None = None
    show: Show = "mean ± std"
    std: Literal["sample", "population"] = "sample"
    digits: int | None = Field(None, ge=0, le=12)
    percent: bool = False
    best: Literal["min", "max"] | None = None
    within: Words = ()
    fail_when: Text | None = None
    missing: Text = "–"
    attributes: dict[str, WhereFile] = {}
    average_over: Words = ()
    baseline: dict[str, GivenLabel] = {}
    contrasts: list[Literal["difference", "interval", "p"]] = ["difference", "p"]
    paired: bool = True
    test: Test = "t"
    at: Text = "last"
    published: Published = None
    caption: Remark = ""


class BudgetFile(File):
    """What a study may cost at most: past it nothing more is begun."""

    device_hours: float | None = Field(None, gt=0, description="Of GPUs, or of CPUs where none is held")
    wall: float | None = Field(None, gt=0, description="Hours that one driver may go on")
    disk_gb: float | None = Field(None, gt=0, description="Results and checkpoints")


class StudyFile(File):
    """One YAML file: one question, its cells, its test-time conditions, its tables."""

    api_version: Literal[1]
    study: Name
    workload: Text
    design: DesignFile
    title: Remark = ""
    paper: Remark = ""
    notes: Remark = ""
    config: dict[str, Any] = {}
    code: Literal["reuse", "warn", "rerun"] = "warn"
    seeds: Seeds = (0,)
    evaluate: dict[Name, EvaluationFile] = {}
    tables: dict[Name, TableFile] = {}
    plots: dict[Name, PlotFile] = {}
    claims: dict[Name, ClaimFile] = {}
    search: SearchFile | None = None
    budget: BudgetFile | None = None
    resources: Annotated[
        list[ResourceRuleFile],
        BeforeValidator(_rules),
        WithJsonSchema({}),  # filled by json_schema()
    ] = []
    fuse: FuseFile = "never"
    extends: Text | None = Field(None, description="A file that this one is merged over")


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of a study file, in draft-07 shapes."""
    schema = StudyFile.model_json_schema(by_alias=True)
    definitions = schema.setdefault("$defs", {})
    for model in (ResourcesFile, ResourceRuleFile, UntilFile, SeedRuleFile):
        own = model.model_json_schema(by_alias=True)
        own.pop("$defs", None)  # each stands beside it here
        definitions.setdefault(model.__name__, own)
    schema["properties"]["seeds"]["anyOf"].append({"$ref": "#/$defs/SeedRuleFile"})
    schema["properties"]["resources"] = {
        "anyOf": [
            {"$ref": "#/$defs/ResourcesFile"},
            {"type": "array", "items": {"$ref": "#/$defs/ResourceRuleFile"}},
        ]
    }
    # a file that extends another may leave out what the other says
    required = schema.pop("required")
    kept = [key for key in required if key == "study"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "required": kept,
        "anyOf": [{"required": ["extends"]}, {"required": required}],
    }
