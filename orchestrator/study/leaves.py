"""Strict types of a config's leaf fields: true is no integer, text is no number."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin

from orchestrator.study.text import shown, suggestion


class Mismatch(ValueError):
    """A value that does not have its field's type; the message says expected and got."""


Check: TypeAlias = Callable[[Any], Any]
_REMEMBERED: Final[dict[Any, Check]] = {}


def leaf(annotation: Any) -> Check:
    """Returns the function that checks a value against a type and returns it in that type.

    Integers are accepted for floats and become floats; lists become tuples; NaN and infinities are
    refused everywhere.
    """
    try:
        if annotation not in _REMEMBERED:
            _REMEMBERED[annotation] = _made(annotation)
        return _REMEMBERED[annotation]
    except TypeError:  # an annotation that cannot be hashed
        return _made(annotation)


def _made(annotation: Any) -> Check:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        return _union([leaf(each) for each in arguments])
    if origin in (tuple, list, Sequence):
        return _sequence(origin, arguments)
    if origin in (dict, Mapping):
        return _mapping(leaf(arguments[1]))
    if annotation in (tuple, list):
        return _sequence(annotation, (Any, ...))
    return _any


def _mismatch(expected: str, value: Any) -> Mismatch:
    quote = ""
    if expected == "text" and isinstance(value, bool | int | float):
        quote = "; quote it if text is meant"
    return Mismatch(f"expected {expected}, got {shown(value)}{quote}")


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _mismatch("true or false", value)


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise Mismatch(f"expected an integer, got {shown(value)}: {str(value).lower()} is not an integer")
    if isinstance(value, int):
        return value
    raise _mismatch("an integer", value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch("a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Mismatch(f"must be finite, got {shown(value)}")
    return number + 0.0  # -0.0 becomes 0.0


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _mismatch("text", value)


def _none(value: Any) -> None:
    if value is not None:
        raise _mismatch("null", value)


def _any(value: Any) -> Any:
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list):
        return tuple(_any(item) for item in value)
    if isinstance(value, dict):
        return {key: _any(item) for key, item in value.items()}
    return value


_SCALARS: Final[dict[Any, Check]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _text,
    None: _none,
    type(None): _none,
    Any: _any,
}


def _literal(allowed: tuple[Any, ...]) -> Check:
    def check(value: Any) -> Any:
        for each in allowed:
            if type(each) is type(value) and each == value:
                return each
        words = [str(each) for each in allowed]
        hint = suggestion(value, words) if isinstance(value, str) else ""
        raise Mismatch(f"expected {' or '.join(words)}, got {shown(value)}{hint}")

    return check


def _union(checks: list[Check]) -> Check:
    def check(value: Any) -> Any:
        faults = []
        for each in checks:
            try:
                found = each(value)
            except Mismatch as fault:
                faults.append(str(fault))
                continue
            # an int field beside a float field keeps integers as they are
            if type(found) is type(value) or not isinstance(value, int):
                return found
            for other in checks:
                if other is _int:
                    return _int(value)
            return found
        expected = " or ".join(
            fault.removeprefix("expected ").split(", got ")[0]
            for fault in faults
            if fault.startswith("expected ")
        )
        plain_faults = [fault for fault in faults if not fault.startswith("expected ")]
        raise Mismatch(plain_faults[0] if plain_faults else f"expected {expected}, got {shown(value)}")

    return check


def _sequence(origin: Any, arguments: tuple[Any, ...]) -> Check:
    fixed = origin is tuple and bool(arguments) and arguments[-1] is not Ellipsis
    checks = [leaf(each) for each in arguments if each is not Ellipsis]

    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise _mismatch("a list", value)
        if fixed and len(value) != len(checks):
            raise Mismatch(f"expected a list of {len(checks)}, got {len(value)} values")
        found = []
        for index, item in enumerate(value):
            each = checks[index] if fixed else (checks[0] if checks else _any)
            try:
                found.append(each(item))
            except Mismatch as fault:
                raise Mismatch(f"value {index + 1} of the list: {fault}") from None
        return tuple(found)

    return check


def _mapping(inner: Check) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _mismatch("a mapping", value)
        found = {}
        for key, item in value.items():
            try:
                found[str(key)] = inner(item)
            except Mismatch as fault:
                raise Mismatch(f"{key}: {fault}") from None
        return found

    return check
