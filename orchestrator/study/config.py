"""Binds nested mappings to a workload's config dataclasses, strictly, with every fault named.

A group with kinds (`network.name`) takes the fields of the kind it chooses; a field of another
kind is a fault, never dropped.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

from orchestrator.errors import Problem, StudyError
from orchestrator.study.leaves import Mismatch, leaf
from orchestrator.study.text import listed, quoted, shown, suggestion, unknown
from workloads.api import Spec, hints, kinds

Steps: TypeAlias = tuple[str, ...]

RECIPE: Final = "recipe"  # the key of a config that names one of the workload's recipes


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Something wrong in a config: path inside it, kebab-case kind, message."""

    path: Steps
    code: str
    message: str


def bind(spec: Spec, config: Mapping[str, Any], *, file: str = "config") -> Any:
    """Returns an instance of a workload's config from a nested mapping.

    Args:
        spec: The workload.
        config: What is said; the rest is the workload's default.
        file: Name for messages.

    Raises:
        StudyError: Everything that the workload does not take.
    """
    issues: list[Issue] = []
    tree = {name: value for name, value in config.items() if name != RECIPE or not spec.recipes}
    base = recipe_of(spec, config.get(RECIPE), issues) if len(tree) < len(config) else MISSING
    bound = bind_group(spec.config, tree, issues, base=base)
    if issues:
        raise StudyError([Problem(file=file, code=each.code, message=each.message) for each in issues])
    return bound


def recipe_of(spec: Spec, name: Any, issues: list[Issue]) -> Any:
    """Returns the config that stands for what a study does not say, or MISSING for the workload's defaults.

    Args:
        spec: The workload.
        name: What the study's config says at `recipe`; None for no recipe.
        issues: Faults are appended.
    """
    if name is None:
        return MISSING
    if isinstance(name, str) and name in spec.recipes:
        return spec.recipes[name]
    message = unknown("recipe", name, spec.recipes) if isinstance(name, str) else f"recipe: got {shown(name)}"
    issues.append(Issue(path=(RECIPE,), code="unknown-recipe", message=message))
    return MISSING


_FIELDS: Final[dict[type, dict[str, Field[Any]]]] = {}


def fields_of(cls: type) -> dict[str, Field[Any]]:
    """Returns name -> field of a dataclass, remembered."""
    if cls not in _FIELDS:
        _FIELDS[cls] = {each.name: each for each in fields(cls) if each.init}
    return _FIELDS[cls]


def default_of(each: Field[Any]) -> Any:
    """Returns a field's default, or MISSING."""
    if each.default is not MISSING:
        return each.default
    if each.default_factory is not MISSING:
        return each.default_factory()
    return MISSING


def bind_group(
    cls: type, tree: Mapping[str, Any], issues: list[Issue], path: Steps = (), base: Any = MISSING
) -> Any:
    """Returns an instance of a config dataclass, or MISSING when there are issues.

    Args:
        cls: The dataclass.
        tree: Nested mapping of what is said.
        issues: Faults are appended.
        path: Path of the tree inside the config.
        base: Instance whose values stand for what is not said; the class's defaults unless given.
    """
    before = len(issues)
    known = fields_of(cls)
    values: dict[str, Any] = {}
    for name, value in tree.items():
        if name not in known:
            issues.append(unknown_field(cls, name, path))
            continue
        current = getattr(base, name) if base is not MISSING else default_of(known[name])
        values[name] = bind_field(hints(cls)[name], value, current, issues, (*path, name))
    for name, each in known.items():
        if name in tree:
            continue
        if base is not MISSING:
            values[name] = getattr(base, name)
        elif default_of(each) is MISSING:
            dots = ".".join((*path, name))
            issues.append(
                Issue(
                    path=(*path, name), code="missing-key", message=f"{dots} must be given; it has no default"
                )
            )
    unbound = any(value is MISSING for value in values.values())
    if unbound or any(each.code == "missing-key" for each in issues[before:]):
        return MISSING
    made = construct(cls, values, issues, path)  # beside a key that does not exist, values may be wrong too
    return made if len(issues) == before else MISSING


def construct(cls: type, values: Mapping[str, Any], issues: list[Issue], path: Steps = ()) -> Any:
    """Returns `cls(**values)`; what its own checks refuse becomes an issue."""
    return guarded(lambda: cls(**values), issues, path)


def guarded(make: Callable[[], Any], issues: list[Issue], path: Steps = ()) -> Any:
    """Returns what a workload's function makes, or MISSING; a ValueError of it becomes an issue."""
    try:
        return make()
    except (ValueError, TypeError, ArithmeticError) as fault:
        prefix = f"{'.'.join(path)}: " if path else ""
        issues.append(Issue(path=path, code="bad-value", message=f"{prefix}{fault}"))
        return MISSING


def bind_field(annotation: Any, value: Any, current: Any, issues: list[Issue], path: Steps) -> Any:
    """Returns the value of one field, or MISSING when there are issues.

    Args:
        annotation: The field's type.
        value: What is said.
        current: What holds when nothing is said; a partial mapping is laid over it.
        issues: Faults are appended.
        path: Path of the field.
    """
    members = get_args(annotation) if _is_union(annotation) else (annotation,)
    groups = [each for each in members if isinstance(each, type) and is_dataclass(each)]
    if not groups or (value is None and type(None) in members):
        try:
            return leaf(annotation)(value)
        except Mismatch as fault:
            issues.append(Issue(path=path, code="bad-value", message=f"{'.'.join(path)}: {fault}"))
            return MISSING
    if not isinstance(value, Mapping):
        if len(groups) < len([each for each in members if each is not type(None)]):
            return value  # a union of groups and scalars: the dataclass's own checks decide
        message = f"{'.'.join(path)}: expected a mapping of fields, got {shown(value)}"
        issues.append(Issue(path=path, code="wrong-type", message=message))
        return MISSING
    options = kinds(Union[tuple(groups)])  # noqa: UP007 - built at run time
    if options is None:
        return bind_group(
            groups[0], value, issues, path, current if isinstance(current, groups[0]) else MISSING
        )
    return _kind(options, value, current, issues, path)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _kind(
    options: Mapping[str, type], value: Mapping[str, Any], current: Any, issues: list[Issue], path: Steps
) -> Any:
    """Binds a group whose `name` chooses its fields."""
    known = getattr(current, "name", None)
    name = value.get("name", known)
    dots = ".".join(path)
    if name is None:
        message = f"{dots}.name must be given; known: {listed(options)}"
        issues.append(Issue(path=(*path, "name"), code="missing-key", message=message))
        return MISSING
    if not isinstance(name, str) or name not in options:
        hint = suggestion(name, options) if isinstance(name, str) else ""
        message = f"{dots}.name: unknown {shown(name)}{hint}; known: {listed(options)}"
        issues.append(Issue(path=(*path, "name"), code="unknown-kind", message=message))
        return MISSING
    cls = options[name]
    foreign = [
        key
        for key in value
        if key not in fields_of(cls) and any(key in fields_of(each) for each in options.values())
    ]
    for key in foreign:
        owners = [kind for kind, each in options.items() if key in fields_of(each)]
        message = (
            f"{dots}.{key} belongs to {listed(owners, 6)}, but {dots}.name is {name!r}, which takes "
            f"{listed(fields_of(cls))}; set it only where it belongs"
        )
        issues.append(Issue(path=(*path, key), code="foreign-field", message=message))
    rest = {key: item for key, item in value.items() if key not in foreign}
    rest["name"] = name
    base = current if type(current) is cls and known == name else MISSING
    bound = bind_group(cls, rest, issues, path, base)
    return MISSING if foreign else bound


def unknown_field(cls: type, name: str, path: Steps, more: Steps = ()) -> Issue:
    """Returns the issue of a key that a config dataclass does not have; `more` are keys beside its fields."""
    known = [*fields_of(cls), *more]
    dots = ".".join(path)
    where = f" in {dots}" if dots else ""
    hint = suggestion(name, known)
    if name.partition(".")[0] in known:
        hint = "; a dotted path belongs to levels, set and --set: write the config nested"
    message = f"unknown config key {quoted(name)}{where}{hint}; known: {listed(known, 40)}"
    return Issue(path=(*path, name), code="unknown-path", message=message)


# --- trees of values ----------------------------------------------------------------------------------


def put(tree: dict[str, Any], path: Steps, value: Any) -> bool:
    """Sets a value at a path in a tree, in place; returns False where a scalar stands in the way.

    The tree's mappings are replaced on the way, never changed, so that trees may share parts.
    """
    *above, last = path
    for step in above:
        below = tree.get(step)
        if below is not None and not isinstance(below, Mapping):
            return False
        tree[step] = dict(below or {})
        tree = tree[step]
    tree[last] = value
    return True
