"""Seeds in a study file: how many or which, or a rule by which cells get more of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from orchestrator.study.schema_values import MAX_COUNT, File, Text, Words, check_seeds


class UntilFile(File):
    """What has to be known before a cell gets no more seeds: a mean, or whether a claim holds."""

    metric: Text | None = None
    half_width: float | None = Field(None, gt=0, description="Of the interval, in the metric's own units")
    from_: Words = Field(("test",), alias="from")
    claim: Text | None = None


class SeedRuleFile(File):
    """Seeds that go where they decide something."""

    min: int = Field(ge=2, le=MAX_COUNT)
    max: int = Field(ge=2, le=MAX_COUNT)
    step: int = Field(1, ge=1, le=MAX_COUNT)
    until: UntilFile


def _kind(value: Any) -> str:
    return "rule" if isinstance(value, dict | SeedRuleFile) else "seeds"


Seeds = Annotated[
    Annotated[SeedRuleFile, Tag("rule")] | Annotated[Any, BeforeValidator(check_seeds), Tag("seeds")],
    Discriminator(_kind),
    WithJsonSchema(  # the rule is added by json_schema()
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0},
                    "minItems": 1,
                    "uniqueItems": True,
                },
            ]
        }
    ),
]
