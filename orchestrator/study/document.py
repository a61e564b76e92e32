"""The merged document as plain data that means the same when it is loaded again.

A label is the value as written, but plain data forgets how a number was written ("1e-3" comes back
as 0.001). So such labels become text here, and a list of such levels a mapping.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from orchestrator.study.text import WrittenFloat, WrittenInt, plain, written


def export(data: dict[str, Any]) -> dict[str, Any]:
    """Returns the document of a study as dicts, lists and scalars, its labels as written."""
    return {key: _exported((key,), value) for key, value in data.items()}


def yaml_text(document: Mapping[str, Any]) -> str:
    """Returns a document as YAML, its keys in their order."""
    writer, stream = YAML(typ="safe", pure=True), io.StringIO()
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False
    writer.dump(dict(document), stream)
    return stream.getvalue()


def _exported(path: tuple[str, ...], value: Any) -> Any:
    # By the path, not the key alone: factors, evaluations and tables may bear any of these names.
    if _holds_values(path):
        return plain(value)
    if _holds_levels(path):
        return _levels(value)
    if isinstance(value, dict):
        return {name: _exported((*path, name), item) for name, item in value.items()}
    if isinstance(value, list):
        return [_exported((*path, ""), item) for item in value]
    return written(value) if _odd(value) else plain(value)


def _holds_values(path: tuple[str, ...]) -> bool:
    """Returns whether numbers at a path are values; elsewhere they are labels or text."""
    match path:
        case (("api_version" | "config" | "seeds" | "fuse" | "budget" | "search"),):
            return True
        case ("design", "overrides", _, "set") | ("evaluate", _, ("set" | "draws")):
            return True
        case ("tables", _, ("digits" | "published")):
            return True
        case ("plots", _, "bins"):
            return True
        case ("claims", _, "similar", "within"):
            return True
        case ("resources", *_, ("cpu" | "gpu" | "memory_gb")):
            return len(path) <= 3 and "when" not in path
        case ("evaluate", _, "resources", ("cpu" | "gpu" | "memory_gb")):
            return True
    return False


def _holds_levels(path: tuple[str, ...]) -> bool:
    match path:
        case ("design", "factors", _, "levels") | ("evaluate", _, "vary", _, "levels"):
            return True
    return False


def _levels(value: Any) -> Any:
    if isinstance(value, list) and any(_odd(item) for item in value):
        return {written(item): plain(item) for item in value}
    return plain(value)


def _odd(value: Any) -> bool:
    """Returns whether plain data would forget how this is written."""
    if isinstance(value, WrittenInt):
        return value.written != repr(int(value))
    return isinstance(value, WrittenFloat) and value.written != repr(float(value))
