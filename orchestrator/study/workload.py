"""Finds the Spec that a study's `workload:` names.

A study file may come from somebody else, so it cannot make any module load: a name is one of the
catalogue, of an installed entry point, or of a module that the settings list.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from orchestrator.errors import Problem, StudyError
from orchestrator.study.text import listed, quoted, suggestion
from workloads import CATALOG
from workloads.api import Spec, load_object

GROUP: Final = "orch.workloads"


def resolve(name: str, *, modules: Sequence[str] = (), place: tuple[str, int, int] = ("study", 0, 0)) -> Spec:
    """Returns the workload of that name.

    Args:
        name: A name of the catalogue or of an entry point, or "module:SPEC".
        modules: Modules and packages that "module:SPEC" may name (`workload_modules` of orch.toml).
        place: Where the study says it, for messages: file, line, column.

    Raises:
        StudyError: Unknown, not allowed, or it cannot be loaded.
    """
    if ":" in name:
        module = name.partition(":")[0]
        if not any(module == each or module.startswith(f"{each}.") for each in modules if each):
            message = (
                f"workload {quoted(name)} is not allowed: module {quoted(module)} is not listed; "
                f"allowed modules: {listed(modules)}; "
                "list it under workload_modules in orch.toml if you trust its code"
            )
            raise _refused(place, "workload-not-allowed", message)
        return _loaded(name, name, place)
    if name in CATALOG:
        return _loaded(name, CATALOG[name], place)
    installed = {each.name: each for each in entry_points(group=GROUP)}
    if name in installed:
        return _loaded(name, installed[name], place)
    known = [*CATALOG, *installed]
    message = f"unknown workload {quoted(name)}{suggestion(name, known)}; known: {listed(known)}"
    raise _refused(place, "unknown-workload", message)


def _loaded(name: str, source: str | EntryPoint, place: tuple[str, int, int]) -> Spec:
    try:
        found: Any = load_object(source) if isinstance(source, str) else source.load()
    except Exception as error:  # importing a user's module can raise anything
        message = f"workload {quoted(name)} cannot be loaded: {type(error).__name__}: {error}"
        raise _refused(place, "workload-import", message) from error
    if not isinstance(found, Spec):
        message = f"workload {quoted(name)} is {type(found).__name__}, not a workloads.api.Spec"
        raise _refused(place, "workload-import", message)
    return found


def _refused(place: tuple[str, int, int], code: str, message: str) -> StudyError:
    return StudyError([Problem(file=place[0], line=place[1], column=place[2], code=code, message=message)])
