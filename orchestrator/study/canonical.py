"""Plain data and identity text of many configs that share most of their parts.

The fast path of `to_plain` and `canonical_json`: equal groups of fields are written once. A test
holds it equal to the plain form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from orchestrator.study.config import default_of, fields_of
from orchestrator.study.identity import canonical_json
from workloads.api import hints, to_plain

_PLAIN_TYPES: Final = (int, float, str, bool, type(None))


class Writer:
    """Writes instances of one config class; remembers what it has written."""

    def __init__(self, cls: type) -> None:
        """Takes the class of the configs."""
        self._defaults = {name: default_of(each) for name, each in sorted(fields_of(cls).items())}
        self._order = list(fields_of(cls))
        self._keys = {name: json.dumps(name) + ":" for name in self._defaults}
        self._seen: dict[tuple[str, Any], tuple[Any, str]] = {}
        self._safe = {name: _safe(hints(cls)[name]) for name in self._defaults}

    def write(self, config: Any) -> tuple[Mapping[str, Any], str]:
        """Returns (plain data with defaults, canonical JSON without defaults) of a config."""
        plain: dict[str, Any] = dict.fromkeys(self._order)
        parts: list[str] = []
        for name, default in self._defaults.items():
            value = getattr(config, name)
            plain[name], text = self._part(name, value)
            if name == "name" or value != default:
                parts.append(self._keys[name] + text)
        return plain, "{" + ",".join(parts) + "}"

    def _part(self, name: str, value: Any) -> tuple[Any, str]:
        kind = type(value)
        if kind is int:
            return value, str(value)
        if value is None or kind is bool:
            return value, "null" if value is None else str(value).lower()
        if self._safe[name]:
            key = (name, value)
            try:
                found = self._seen.get(key)
            except TypeError:  # a value that cannot be hashed
                return self._fresh(value)
            if found is None:
                found = self._seen[key] = self._fresh(value)
            return found
        return self._fresh(value)

    def _fresh(self, value: Any) -> tuple[Any, str]:
        return to_plain(value), canonical_json(to_plain(value, defaults=False))


def _safe(annotation: Any) -> bool:
    """Returns whether equal values of a type are written alike: 1 and True are equal, but are not alike."""
    if isinstance(annotation, type) and is_dataclass(annotation):
        return all(_safe(each) for each in hints(annotation).values())
    if annotation in _PLAIN_TYPES:
        return True
    arguments = [each for each in get_args(annotation) if each is not Ellipsis]
    if get_origin(annotation) is Literal:
        return len({type(each) for each in arguments if not isinstance(each, str)}) <= 1
    if not arguments:
        return False
    if (
        get_origin(annotation) in (Union, UnionType)
        and sum(each in (int, float, bool) for each in arguments) > 1
    ):
        return False
    return all(_safe(each) for each in arguments)
