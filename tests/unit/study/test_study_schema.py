from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from study_text import EXAMPLES

import orchestrator.study
from orchestrator.study.reader import compose
from orchestrator.study.schema import json_schema
from orchestrator.study.text import plain

COPY = Path(orchestrator.study.__file__).parent / "study.schema.json"


def test_checked_in_schema_is_fresh() -> None:
    assert json.loads(COPY.read_text(encoding="utf-8")) == json_schema()


def test_schema_has_draft_7_shapes_only() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())
    text = json.dumps(json_schema())
    assert not any(
        f'"{word}"' in text for word in ("prefixItems", "unevaluatedProperties", "dependentRequired")
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_fit_the_schema(path: Path) -> None:
    document = plain(compose(path.read_text(encoding="utf-8"), str(path)).data())
    jsonschema.Draft7Validator(json_schema()).validate(document)


def test_schema_refuses_what_the_loader_refuses() -> None:
    check = jsonschema.Draft7Validator(json_schema())
    good = {
        "api_version": 1,
        "study": "s",
        "workload": "w",
        "design": {"type": "factorial", "factors": {"a": {"path": "p", "levels": [1]}}},
    }
    assert check.is_valid(good)
    assert check.is_valid({"study": "s", "extends": "other.yaml"})
    for wrong in (
        {**good, "api_version": 2},
        {**good, "epocs": 1},
        {**good, "seeds": []},
        {**good, "study": "a/b"},
        {**good, "resources": {"gpus": 1}},
        {key: value for key, value in good.items() if key != "design"},
    ):
        assert not check.is_valid(wrong), wrong
