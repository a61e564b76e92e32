"""Checks a document against the schema: every unknown key, wrong type and bad word at once."""

from __future__ import annotations

import re
import typing
from types import UnionType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from orchestrator.study.problems import Path, Problems, dotted
from orchestrator.study.reader import Node
from orchestrator.study.schema import StudyFile
from orchestrator.study.text import listed, quoted, shown, suggestion, written
from workloads.api import SECRET

_EXPECTED: Final = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "bool_type": "true or false",
    "float_type": "a number",
    "finite_number": "a finite number",
}
_TOP: Final = frozenset(each.alias or name for name, each in StudyFile.model_fields.items())
_BOUNDS: Final = {"greater_than_equal": ("ge", ">="), "less_than_equal": ("le", "<=")}
_STAND_INS: Final[dict[tuple[str | int, ...], Any]] = {
    ("api_version",): 1,
    ("study",): "study",
    ("workload",): "workload",
}
_SECRET_KEY = re.compile(
    r"(^|[._-])(token|password|passwd|pwd|secret|credentials?|(api|access|secret|private)[_-]?key)$",
    re.IGNORECASE,
)
# no part of it can match the same text in two ways, so that a megabyte is searched in one pass
_USERINFO = re.compile(r"://[^/\s@:]*:[^/\s@]+@")


def validate(data: dict[str, Any], problems: Problems) -> StudyFile | None:
    """Returns the file's model, or what remains of it once wrong parts are taken out.

    Wrong parts are noted and removed from `data`, and the rest is validated again, so that later
    checks find what else is wrong. None when too little remains.
    """
    removed: set[str] = set()
    for _ in range(8):
        try:
            return StudyFile.model_validate(data)
        except ValidationError as error:
            before = len(removed)
            for each in error.errors(include_url=False):
                path = _real(data, each["loc"])
                if each["type"] == "missing":
                    if dotted((*path, each["loc"][-1])) not in removed:
                        _note_missing(path, str(each["loc"][-1]), problems)
                        _fill(data, (*path, str(each["loc"][-1])), removed)
                    continue
                _note(dict(each), path, problems)
                removed.add(dotted(path))
                _remove(data, path)
                _fill(data, path, removed)
            if len(removed) == before:
                return None
    return None


def _real(data: Any, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Returns the part of pydantic's location that exists in the document."""
    path: list[str | int] = []
    for step in location:
        there = isinstance(data, dict) and step in data
        if isinstance(data, list):
            there = isinstance(step, int) and step < len(data)
        if there:  # else a tag of pydantic's own ("[key]", or the index of a rule that stands alone)
            data = data[step]
            path.append(step)
    return tuple(path)


def _remove(data: Any, path: Path) -> None:
    for step in path[:-1]:
        if isinstance(data, list) and not (isinstance(step, int) and step < len(data)):
            return  # emptied a moment ago
        if isinstance(data, dict) and step not in data:
            return
        data = data[step]
    last = path[-1] if path else None
    if isinstance(data, dict):
        data.pop(last, None)
    elif isinstance(data, list) and isinstance(last, int):
        data[:] = []  # without one entry the others would move


def _fill(data: dict[str, Any], path: tuple[str | int, ...], removed: set[str]) -> None:
    """Puts a stand-in where a required word is missing or wrong, so that the rest is still checked."""
    if path in _STAND_INS:
        data[str(path[0])] = _STAND_INS[path]
        removed.add(dotted(path))
    elif path == ("design", "type"):
        design = data["design"]
        hints = {"baseline": "one_at_a_time", "on": "leave_one_out", "cells": "list"}
        design["type"] = next((kind for key, kind in hints.items() if key in design), "factorial")
        removed.add(dotted(path))


def _note_missing(path: tuple[str | int, ...], key: str, problems: Problems) -> None:
    hint = "; supported: 1" if key == "api_version" else ""
    place = dotted(path) or "the study"
    problems.add(
        path, "missing-key", f"{place} needs the key {key!r}{hint}", once=f"missing {dotted(path)} {key}"
    )


def _note(error: dict[str, Any], path: tuple[str | int, ...], problems: Problems) -> None:
    kind, got, context = error["type"], error["input"], error.get("ctx", {})
    key = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        allowed = _allowed(path[:-1])
        where = f" in {dotted(path[:-1])}" if path[:-1] else ""
        message = (
            f"unknown key {quoted(key)}{where}{suggestion(key, allowed)}; allowed: {listed(allowed, 40)}"
        )
        problems.add(path, "unknown-key", message, key=True)
    elif kind == "literal_error" and path == ("api_version",):
        problems.add(path, "api-version", f"api_version {shown(got)} is not supported; supported: 1")
    elif kind == "literal_error":
        hint = suggestion(got, re.findall(r"'([^']*)'", context["expected"])) if isinstance(got, str) else ""
        problems.add(path, "bad-value", f"{key}: expected {context['expected']}, got {shown(got)}{hint}")
    elif kind in _EXPECTED:
        quote = ""
        if kind == "string_type" and isinstance(got, bool | int | float):
            quote = f"; quote it: '{written(got)}'"
        problems.add(path, "wrong-type", f"{key}: expected {_EXPECTED[kind]}, got {shown(got)}{quote}")
    elif kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        problems.add(path, "out-of-range", f"{key}: must be {sign} {context[name]}, got {shown(got)}")
    elif "message" in context:
        problems.add(path, kind, str(context["message"]), key="[key]" in error["loc"])
    else:
        problems.add(path, "bad-value", f"{key}: {error['msg']}, got {shown(got)}")


def _allowed(path: tuple[str | int, ...]) -> list[str]:
    """Returns the keys that the schema knows at a path."""
    annotation: Any = StudyFile
    for step in path:
        annotation = _inside(annotation, step)
    annotation = _stripped(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [each.alias or name for name, each in annotation.model_fields.items()]
    arguments = typing.get_args(annotation)  # a list of rules of which one may stand alone
    if len(arguments) == 1 and isinstance(arguments[0], type) and issubclass(arguments[0], BaseModel):
        return list(arguments[0].model_fields)
    return []


def _stripped(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _stripped(typing.get_args(annotation)[0])
    if origin in (typing.Union, UnionType):
        return _stripped(typing.get_args(annotation)[0])
    return annotation


def _inside(annotation: Any, step: str | int) -> Any:
    annotation = _stripped(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, each in annotation.model_fields.items():
            if (each.alias or name) == step:
                return each.annotation
        return Any
    arguments = typing.get_args(annotation)
    return arguments[-1] if arguments else Any


# --- what no value of a study may hold ----------------------------------------------------------------


def _handed_over(path: Path) -> bool:
    """Returns whether what stands at a path goes to the workload, and nowhere else."""
    match tuple(path):
        case ("config", *_) | ("design", "factors", _, "levels", _, *_):
            return True
        case ("design", "overrides", _, "set", *_) | ("evaluate", _, "set", *_):
            return True
        case ("evaluate", _, "vary", _, "levels", _, *_):
            return True
        case (str() as only,):  # a patch of the command line: its key is the path inside the config
            return only not in _TOP
    return False


def guard(node: Node, problems: Problems) -> None:
    """Notes references that are not part of the language or out of place, and secrets written out."""
    for path, child, _ in node.walk():
        if isinstance(child.value, str) and SECRET.search(child.value) and not _handed_over(path):
            message = (
                f"{'.'.join(map(str, path))}: ${{secret:NAME}} is filled in where a workload is handed it: "
                "in config, in levels and in set; here it would be printed as it stands"
            )
            problems.add(path, "secret-place", message)
        texts = [child.value] if isinstance(child.value, str) else []
        texts += [path[-1]] if isinstance(path[-1], str) else []
        for text in texts:
            rest = SECRET.sub("", text)
            if "${" in rest:
                message = (
                    f"{quoted(text)}: '${{...}}' is not part of the language, but for ${{secret:NAME}}; "
                    "write the value, or patch it with --set"
                )
                problems.add(path, "reference", message)
            if _USERINFO.search(rest):
                message = "an address with a password in it; write ${secret:NAME} in place of the password"
                problems.add(path, "secret", message)
        if isinstance(child.value, str) and child.value and isinstance(path[-1], str):
            name = path[-1].rsplit(".", 1)[-1]
            if _SECRET_KEY.search(name) and not SECRET.fullmatch(child.value):
                message = f"{quoted(name)} looks like a secret and is written out; use ${{secret:NAME}}"
                problems.add(path, "secret", message)
