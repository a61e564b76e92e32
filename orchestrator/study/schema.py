"""The study file as pydantic models: which keys exist, and which kind of value each takes.

What a value means in relation to others (a label that no level has, a circle of `when`) is checked
in `check.py`. `json_schema()` uses draft-07 shapes only, so that editors understand it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from orchestrator.study.text import (
    NAME_PATTERN,
    label_fault,
    name_fault,
    plain,
    shown,
    written,
)

MAX_COUNT = 100_000  # of seeds, draws, levels: more is a slip of the pen, and would fill the memory
MAX_SEED = 2**63 - 1
IGNORED = ("plots", "claims", "search", "budget")


def _fault(code: str, message: str) -> PydanticCustomError:
    # the message goes through a template, so that braces in it stay what they are
    return PydanticCustomError(code, "{message}", {"message": message})


def _checked(check: Callable[[str], str | None], code: str) -> Callable[[str], str]:
    def validate(value: str) -> str:
        fault = check(value)
        if fault:
            raise _fault(code, fault)
        return value

    return validate


_SCALAR = {"type": ["string", "number", "boolean"]}
_LABELS = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]}


def _given(value: Any) -> Any:
    # a key with nothing behind it is YAML's null, and "null" is no text that anybody meant
    if value is None:
        raise _fault("wrong-type", "expected text, got nothing; write it, or drop the key")
    return written(value)


def _or_empty(value: Any) -> Any:
    return "" if value is None else written(value)


Text = Annotated[str, BeforeValidator(_given)]
Remark = Annotated[str, BeforeValidator(_or_empty)]
Name = Annotated[
    str,
    BeforeValidator(_given),
    AfterValidator(_checked(name_fault, "bad-name")),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"}),
]
Label = Annotated[
    str,
    BeforeValidator(written),
    AfterValidator(_checked(label_fault, "bad-label")),
    WithJsonSchema(_SCALAR),
]
# where no level is meant, null is not the label "null"
GivenLabel = Annotated[
    str,
    BeforeValidator(_given),
    AfterValidator(_checked(label_fault, "bad-label")),
    WithJsonSchema(_SCALAR),
]


def _labels(value: Any) -> tuple[str, ...]:
    many = value if isinstance(value, list) else [value]
    if not many:
        raise _fault("no-values", "expected a label or a list of labels, got an empty list")
    found = []
    for each in many:
        text = written(each)
        if not isinstance(text, str):
            raise _fault("wrong-type", f"expected a label or a list of labels, got {shown(each)}")
        found.append(text)
    return tuple(found)


def _words(value: Any) -> tuple[str, ...]:
    many = value if isinstance(value, list) else [value]
    found = tuple(written(each) for each in many)
    if not found or not all(isinstance(each, str) for each in found):
        raise _fault("wrong-type", f"expected a name or a list of names, got {shown(value)}")
    return found


Labels = Annotated[Any, BeforeValidator(_labels), WithJsonSchema(_LABELS)]
Words = Annotated[
    Any,
    BeforeValidator(_words),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
WhereFile: TypeAlias = dict[str, Labels]


def _levels(value: Any) -> Any:
    if not isinstance(value, list | dict):
        raise _fault(
            "wrong-type",
            "expected a list of values, a mapping label -> value, or {range: [first, end]}, "
            f"got {shown(value)}",
        )
    if isinstance(value, dict) and list(value) == ["range"] and isinstance(value["range"], list):
        bounds = value["range"]
        if len(bounds) != 2 or not all(
            isinstance(each, int) and not isinstance(each, bool) for each in bounds
        ):
            raise _fault("wrong-type", f"range takes two integers, [first, end), got {plain(bounds)!r:.60}")
        if bounds[1] - bounds[0] > MAX_COUNT:
            raise _fault("too-many", f"range has {bounds[1] - bounds[0]:,} values; at most {MAX_COUNT:,}")
        return [int(number) for number in range(*bounds)]
    return value


Levels = Annotated[
    Any,
    BeforeValidator(_levels),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "minItems": 1},
                {
                    "type": "object",
                    "properties": {"range": {"type": "array", "items": {"type": "integer"}}},
                    "required": ["range"],
                    "additionalProperties": False,
                },
                {"type": "object", "minProperties": 1},
            ]
        }
    ),
]


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED


def check_seeds(value: Any) -> tuple[int, ...] | dict[str, Any]:
    """Returns the seeds that `seeds:` means; a mapping (adaptive seeds) as it is."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        if not value:
            raise _fault("no-values", "seeds has no values; give a number of seeds or a list of them")
        if len(value) > MAX_COUNT:
            raise _fault("too-many", f"{len(value):,} seeds; at most {MAX_COUNT:,}")
        wrong = next((each for each in value if not _is_seed(each)), None)
        if wrong is not None or None in value:
            raise _fault("wrong-type", f"a seed is an integer from 0 to 2^63 - 1, got {shown(wrong)}")
        twice = [seed for seed, times in Counter(value).items() if times > 1]
        if twice:
            raise _fault("duplicate-value", f"seed {twice[0]} is listed twice")
        return tuple(int(each) for each in value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _fault("wrong-type", f"expected a number of seeds or a list of seeds, got {shown(value)}")
    if not 1 <= value <= MAX_COUNT:
        raise _fault("out-of-range", f"expected 1 to {MAX_COUNT:,} seeds, got {shown(value)}")
    return tuple(range(value))


Seeds = Annotated[
    Any,
    BeforeValidator(check_seeds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0},
                    "minItems": 1,
                    "uniqueItems": True,
                },
                {"type": "object"},
            ]
        }
    ),
]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ResourcesFile(_File):
    """What one trial holds while it runs; never part of its identity."""

    cpu: float = Field(1.0, ge=0)
    gpu: float = Field(0.0, ge=0)
    memory_gb: float = Field(0.0, ge=0)


class ResourceRuleFile(ResourcesFile):
    """Resources of the cells that fit; the last rule that fits wins."""

    when: WhereFile = {}


def _rules(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class FactorFile(_File):
    """What varies: in training (`design.factors`) or at test time (`evaluate.*.vary`)."""

    path: Text | None = Field(None, description="Dotted path that a level's value is set at")
    levels: Levels
    when: WhereFile = {}
    otherwise: GivenLabel | None = None


class OverrideFile(_File):
    """Patches of the config of the cells that fit."""

    when: WhereFile = {}
    set: dict[str, Any]


class DesignFile(_File):
    """How levels combine into cells."""

    type: Literal["factorial", "one_at_a_time", "leave_one_out", "list"]
    factors: dict[Name, FactorFile]
    baseline: dict[str, Label] | None = None
    on: dict[str, Label] | None = None
    cells: dict[Label, dict[str, Label]] | None = None
    zip: list[list[Text]] = []
    exclude: list[WhereFile] = []
    overrides: list[OverrideFile] = []


class EvaluationFile(_File):
    """Test-time measurements on trained networks."""

    family: Text | None = None
    set: dict[str, Any] = {}
    vary: dict[Name, FactorFile] = {}
    when: WhereFile = {}
    draws: int = Field(1, ge=1, le=MAX_COUNT)
    gather: Text | None = None
    as_: dict[str, GivenLabel] = Field({}, alias="as")
    resources: ResourcesFile | None = None


def _axis(value: Any) -> Any:
    if isinstance(value, dict):
        for label, where in value.items():
            fault = label_fault(label)
            if fault:
                raise _fault("bad-label", fault)
            if not isinstance(where, dict):
                raise _fault(
                    "wrong-type",
                    f"selection {label!r} must be a mapping dimension -> label, got {shown(where)}",
                )
        return {
            label: {name: _labels(labels) for name, labels in where.items()} for label, where in value.items()
        }
    return _words(value)


_AXIS_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _LABELS}},
    ]
}
AxisFile = Annotated[Any, BeforeValidator(_axis), WithJsonSchema(_AXIS_SCHEMA)]


class TableFile(_File):
    """A table of the paper: which observations, laid out how, shown as which statistic."""

    from_: Words = Field(("test",), alias="from")
    where: WhereFile = {}
    rows: AxisFile = ()
    columns: AxisFile = ()
    metric: Text | None = None
    metrics: list[Text] | None = None
    show: Literal["mean ± std", "mean", "std", "median", "mean [ci95]", "iqm", "n", "min", "max"] = (
        "mean ± std"
    )
    std: Literal["sample", "population"] = "sample"
    digits: int | None = Field(None, ge=0, le=12)
    percent: bool = False
    best: Literal["min", "max"] | None = None
    within: Words = ()
    fail_when: Text | None = None
    missing: Text = "–"
    attributes: dict[str, WhereFile] = {}
    average_over: Words = ()
    at: Text = "last"
    published: Any = None
    caption: Remark = ""


class StudyFile(_File):
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
    plots: Any = Field(None, description="Ignored in this version")
    claims: Any = Field(None, description="Ignored in this version")
    search: Any = Field(None, description="Ignored in this version")
    budget: Any = Field(None, description="Ignored in this version")
    resources: Annotated[
        list[ResourceRuleFile],
        BeforeValidator(_rules),
        WithJsonSchema({}),  # filled by json_schema()
    ] = []
    fuse: int = Field(1, ge=1, le=1000)
    extends: Text | None = Field(None, description="A file that this one is merged over")


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of a study file, in draft-07 shapes."""
    schema = StudyFile.model_json_schema(by_alias=True)
    definitions = schema.setdefault("$defs", {})
    for model in (ResourcesFile, ResourceRuleFile):
        definitions.setdefault(model.__name__, model.model_json_schema(by_alias=True))
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
