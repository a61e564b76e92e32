"""Errors that a table's declaration comes to when it meets the frame."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import Problem, StudyError
from orchestrator.model.study import TableSpec

Places = Mapping[str, tuple[str, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The table that is built and where its text stands, for messages."""

    spec: TableSpec
    places: Places = field(default_factory=dict)

    def error(self, key: str, code: str, message: str) -> StudyError:
        """Returns the error that points at `tables.NAME.key`, or at the nearest place that is known."""
        path = f"{self.spec.root}.{self.spec.name}" + (f".{key}" if key else "")
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        file, line, column = self.places.get(path, ("study", 0, 0))
        text = f"{self.spec.root[:-1]} {self.spec.name!r}: {message}"
        return StudyError([Problem(file=file, line=line, column=column, code=code, message=text)])

    def unknown(self, key: str, what: str, got: str, allowed: Iterable[str]) -> StudyError:
        """Returns the error for a name that does not exist, with those that do and the nearest one."""
        names = list(dict.fromkeys(allowed))
        near = difflib.get_close_matches(got, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(repr(name) for name in names) or "none"
        return self.error(key, f"unknown-{what}", f"{key}: unknown {what} {got!r}; allowed are {known}{hint}")
