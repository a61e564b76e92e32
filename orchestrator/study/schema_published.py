"""Printed values of a paper in a study file: where they stand, and what they may be compared with."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.study.schema_values import File, Text, WhereFile


class PublishedFile(File):
    """What a paper prints in the place of a table's entries."""

    file: Text | None = Field(None, description="CSV file, relative to this one")
    values: list[dict[str, Any]] | None = Field(None, description="Its lines, written out")
    where: WhereFile = Field({}, description="Which of its lines, by their own columns")
    matches: dict[str, Any] = Field({}, description="Config path -> value(s) that verdicts need")
    margin: float | None = Field(None, gt=0, description="Of reproduction, in the metric's own units")
    label: Text = Field("paper", description="Header of the printed values")


def _published(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


Published = Annotated[
    PublishedFile | None,
    BeforeValidator(_published),
    WithJsonSchema({"anyOf": [{"type": "string"}, PublishedFile.model_json_schema()]}),
]
