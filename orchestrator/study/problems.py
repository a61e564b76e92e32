"""Collects everything wrong in a study, each at its place in the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TypeAlias

from orchestrator.errors import Problem, StudyError
from orchestrator.study.reader import Mark, Node

Path: TypeAlias = Sequence[str | int]

MAX_PROBLEMS = 200  # a reader mends the first ones; a slip in a large design would repeat for ever


def dotted(path: Path) -> str:
    """Returns the key of `Study.places` for a path: "design.factors.depth.levels.0"."""
    return ".".join(str(step) for step in path)


# what says nothing about the part of the study that it stands in
_ANYWHERE = frozenset({"secret", "reference"})
KEY = "key of "  # before a path: the place of its key, where that is not the place of the path


def places_of(node: Node) -> dict[str, Mark]:
    """Returns the place of everything: the value's when it stands beside its key, else the key's."""
    places: dict[str, Mark] = {"": node.mark}
    for path, child, key in node.walk():
        name = dotted(path)
        places.setdefault(name, child.mark if child.inline else key)
        if child.inline and key != child.mark:
            places.setdefault(KEY + name, key)
    return places


class Problems:
    """Everything found so far; `finish` raises it all at once."""

    def __init__(self, file: str, places: Mapping[str, Mark]) -> None:
        """Takes the file's name for what has no place, and the places that `places_of` found."""
        self._file = file
        self._places = places
        self._found: dict[tuple[Mark, str, str], Problem] = {}
        self._paths: set[tuple[str, ...]] = set()

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found.values())

    @property
    def paths(self) -> Set[tuple[str, ...]]:
        """Returns the paths of the document at which something is wrong: ("design", "factors"), ..."""
        return self._paths

    def below(self, *path: str) -> set[str]:
        """Returns the next steps of the paths under a path at which something is wrong; "" is itself."""
        depth = len(path)
        return {(*each, "")[depth] for each in self._paths if each[:depth] == path}

    def take(self, found: Iterable[Problem]) -> None:
        """Adds problems that were found elsewhere."""
        for each in found:
            self.add_at((each.file, each.line, each.column), each.code, each.message)

    @property
    def full(self) -> bool:
        """Whether further problems would not be told."""
        return len(self._found) >= MAX_PROBLEMS

    def add(self, path: Path, code: str, message: str, *, key: bool = False, once: str | None = None) -> None:
        """Notes a problem at a path of the document, or at the nearest place above it.

        Args:
            path: Path inside the document.
            code: Kebab-case kind.
            message: What, got, allowed, what to do.
            key: Point at the key rather than at its value.
            once: What makes two problems at one place the same; the message unless said.
        """
        if path and code not in _ANYWHERE:
            self._paths.add(tuple(map(str, path)))
        mark = self.mark(path, key=key)
        identity = (mark, code, message if once is None else once)
        if identity in self._found or self.full:
            return
        self._found[identity] = Problem(
            file=mark[0], line=mark[1], column=mark[2], code=code, message=message
        )

    def add_at(self, mark: Mark, code: str, message: str, *, once: str | None = None) -> None:
        """Notes a problem at a mark."""
        identity = (mark, code, message if once is None else once)
        if identity not in self._found and not self.full:
            self._found[identity] = Problem(
                file=mark[0], line=mark[1], column=mark[2], code=code, message=message
            )

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Returns the place of a path, or of the nearest thing above it."""
        steps = list(path)
        while steps:
            name = dotted(steps)
            if key and len(steps) == len(path) and KEY + name in self._places:
                return self._places[KEY + name]
            if name in self._places:
                return self._places[name]
            steps.pop()
        return (self._file, 0, 0)

    def finish(self) -> None:
        """Raises what was found, in the order of the text.

        Raises:
            StudyError: If there is any problem.
        """
        if self._found:
            order = sorted(self._found.values(), key=lambda each: (each.file, each.line, each.column))
            raise StudyError(order)
