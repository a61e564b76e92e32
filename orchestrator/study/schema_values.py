"""Kinds of values in a study file: text, names, labels, selections, levels, seeds, axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from orchestrator.study.text import NAME_PATTERN, label_fault, name_fault, plain, shown, written

MAX_COUNT = 100_000  # of seeds, draws, levels: more is a slip of the pen, and would fill the memory
MAX_SEED = 2**63 - 1
MOST_FUSED = 64  # seeds in one network


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


def words(value: Any) -> tuple[str, ...]:
    """Returns the names that a name or a list of names means."""
    many = value if isinstance(value, list) else [value]
    found = tuple(written(each) for each in many)
    if not found or not all(isinstance(each, str) for each in found):
        raise _fault("wrong-type", f"expected a name or a list of names, got {shown(value)}")
    return found


Labels = Annotated[Any, BeforeValidator(_labels), WithJsonSchema(_LABELS)]
Words = Annotated[
    Any,
    BeforeValidator(words),
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


def check_seeds(value: Any) -> tuple[int, ...]:
    """Returns the seeds that a number or a list of seeds means."""
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


class File(BaseModel):
    """A mapping whose keys are known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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
    return words(value)


_AXIS_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _LABELS}},
    ]
}
AxisFile = Annotated[Any, BeforeValidator(_axis), WithJsonSchema(_AXIS_SCHEMA)]


# What stands for the values of several seeds: in plots, and in tables.
CentreShow: TypeAlias = Literal[
    "mean ± std",
    "mean",
    "mean [ci95]",
    "mean [bootstrap95]",
    "median",
    "median [ci95]",
    "iqm",
    "iqm [ci95]",
    "min",
    "max",
]
Show: TypeAlias = Literal[CentreShow, "std", "n"]
Test: TypeAlias = Literal["t", "permutation"]


def _fuse(value: Any) -> Any:
    if value in ("auto", "never") or (type(value) is int and 2 <= value <= MOST_FUSED):
        return value
    allowed = f"auto, never, or a whole number of seeds from 2 to {MOST_FUSED}"
    raise _fault("bad-value", f"expected {allowed}; got {shown(value)}")


FuseFile = Annotated[
    Any,
    BeforeValidator(_fuse),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 2, "maximum": MOST_FUSED},
                {"type": "string", "enum": ["auto", "never"]},
            ]
        }
    ),
]
