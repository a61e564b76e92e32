"""Searches in a study file: the space, the budget, and how it is gone through."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from orchestrator.model.search import PrunerName, Sampler
from orchestrator.study.schema_values import File, Text, words
from orchestrator.study.text import shown

MAX_TRIALS = 10_000
MAX_CHOICES = 1_000
_SCALAR = ["string", "number", "boolean", "null"]


class RangeFile(File):
    """Values between two numbers, both of them included."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(None, gt=0)


def _parameter(value: Any) -> Any:
    if isinstance(value, list | dict):
        return value
    raise PydanticCustomError(
        "wrong-type",
        "{message}",
        {"message": f"expected a list of values, or a range {{low: 0.001, high: 1}}, got {shown(value)}"},
    )


# lists are checked where they are converted: their values may be of any scalar kind
ParameterFile = Annotated[
    Annotated[RangeFile, Tag("range")] | Annotated[list[Any], Tag("values")],
    Discriminator(lambda value: "values" if isinstance(value, list) else "range"),
    BeforeValidator(_parameter),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": _SCALAR}, "minItems": 1},
                {
                    "type": "object",
                    "properties": {
                        "low": {"type": "number"},
                        "high": {"type": "number"},
                        "log": {"type": "boolean"},
                        "step": {"type": "number", "exclusiveMinimum": 0},
                    },
                    "required": ["low", "high"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


# no factor at all is a choice here: one search for all cells
ByFile = Annotated[
    Any,
    BeforeValidator(lambda value: () if value == [] else words(value)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class PrunerFile(File):
    """When a candidate is ended before its time."""

    name: PrunerName
    startup: int = Field(5, ge=0, le=MAX_TRIALS)
    warmup: int = Field(0, ge=0)


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class SearchFile(File):
    """Hyperparameters that are chosen for each cell before its seeds run."""

    space: dict[Text, ParameterFile] = Field(min_length=1)
    trials: int = Field(ge=1, le=MAX_TRIALS, description="Candidates of each search")
    metric: Text
    best: Literal["min", "max"] = "min"
    sampler: Sampler = "tpe"
    pruner: Annotated[
        PrunerFile,
        BeforeValidator(_named),
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": list(PrunerName.__args__)},
                    {
                        "type": "object",
                        "properties": {
                            "name": {"enum": list(PrunerName.__args__)},
                            "startup": {"type": "integer", "minimum": 0},
                            "warmup": {"type": "integer", "minimum": 0},
                        },
                        "required": ["name"],
                        "additionalProperties": False,
                    },
                ]
            }
        ),
    ] = PrunerFile(name="none")
    parallel: int = Field(4, ge=1, le=1000, description="Candidates that are asked for at once")
    seed: int = Field(0, ge=0, lt=2**31)
    by: ByFile | None = Field(None, description="Factors whose levels have a search each; [] for one of all")
