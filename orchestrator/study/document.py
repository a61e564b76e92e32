"""The merged document as plain data that means the same when it is loaded again.

A label is the value as written, but plain data forgets how a number was written ("1e-3" comes back
as 0.001). So such labels become text here, and a list of such levels a mapping.
"""

from __future__ import annotations

from typing import Any

from orchestrator.study.text import WrittenFloat, WrittenInt, plain, written

# keys under which numbers are values; elsewhere they are labels or text
_VALUES = frozenset(
    {
        *(
            "api_version",
            "config",
            "set",
            "seeds",
            "fuse",
            "draws",
            "digits",
            "published",
            "budget",
            "search",
        ),
        *("plots", "claims", "cpu", "gpu", "memory_gb"),
    }
)


def export(data: dict[str, Any]) -> dict[str, Any]:
    """Returns the document of a study as dicts, lists and scalars, its labels as written."""
    return {key: _exported(key, value) for key, value in data.items()}


def _exported(key: str, value: Any) -> Any:
    if key in _VALUES:
        return plain(value)
    if key == "levels":
        return _levels(value)
    if isinstance(value, dict):
        return {name: _exported(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_exported("", item) for item in value]
    return written(value) if _odd(value) else plain(value)


def _levels(value: Any) -> Any:
    if isinstance(value, list) and any(_odd(item) for item in value):
        return {written(item): plain(item) for item in value}
    return plain(value)


def _odd(value: Any) -> bool:
    """Returns whether plain data would forget how this is written."""
    if isinstance(value, WrittenInt):
        return value.written != repr(int(value))
    return isinstance(value, WrittenFloat) and value.written != repr(float(value))
