"""YAML text to a checked, frozen study; everything wrong is told at once, each at its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic_core import PydanticCustomError

from orchestrator.errors import StudyError, UsageError
from orchestrator.model.study import Study
from orchestrator.study import convert, source
from orchestrator.study.check import check
from orchestrator.study.claims import claims
from orchestrator.study.document import export
from orchestrator.study.plots import aliases, plots
from orchestrator.study.problems import Problems, places_of
from orchestrator.study.published import kept
from orchestrator.study.reader import Node, parse_value
from orchestrator.study.schema_values import MAX_COUNT, MAX_SEED, check_seeds
from orchestrator.study.search_declared import search
from orchestrator.study.seeds import seeds as declared_seeds
from orchestrator.study.text import plain, quoted
from orchestrator.study.validate import guard, validate

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_RANGE = re.compile(r"\s*(\d{1,19})\s*-\s*(\d{1,19})\s*")


def load(path: Path, *, patches: Mapping[str, Any] = _NONE, seeds: tuple[int, ...] | None = None) -> Study:
    """Returns the study that a file declares.

    Args:
        path: The YAML file.
        patches: Dotted config path -> value (`--set`), applied last.
        seeds: Seeds in place of the file's (`--seeds`).

    Raises:
        StudyError: Everything that is wrong with it, in the order of the text.
    """
    return draft(path, patches=patches, seeds=seeds).finished()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A study file as far as it can be understood, and what is wrong with it.

    Attributes:
        study: What remains once wrong parts are left out; None when too little does.
        problems: What is wrong.
    """

    study: Study | None
    problems: Problems

    def finished(self) -> Study:
        """Returns the study.

        Raises:
            StudyError: Everything that is wrong with it.
        """
        self.problems.finish()
        assert self.study is not None, "an invalid document without a problem"
        return self.study


def draft(path: Path, *, patches: Mapping[str, Any] = _NONE, seeds: tuple[int, ...] | None = None) -> Draft:
    """Returns what can be understood of a file, for checks that go on after the first fault.

    Args:
        path: The YAML file.
        patches: Dotted config path -> value (`--set`), applied last.
        seeds: Seeds in place of the file's (`--seeds`).

    Raises:
        StudyError: Text that is no YAML mapping.
    """
    return _draft(source.read(path), str(path), patches, seeds)


def from_document(
    document: Mapping[str, Any],
    *,
    file: str = "study",
    patches: Mapping[str, Any] = _NONE,
    seeds: tuple[int, ...] | None = None,
) -> Study:
    """Returns the study of a document that is already data, such as `Study.document`.

    Args:
        document: The document.
        file: Name for messages, and where a relative `extends` begins.
        patches: Dotted config path -> value, applied last.
        seeds: Seeds in place of the document's.

    Raises:
        StudyError: Everything that is wrong with it.
    """
    return _draft(source.from_plain(document, file), file, patches, seeds).finished()


def _draft(node: Node, file: str, patches: Mapping[str, Any], seeds: tuple[int, ...] | None) -> Draft:
    places = places_of(node)
    problems = Problems(file, places)
    guard(node, problems)
    model = validate(node.data(), problems)
    if model is None:
        return Draft(study=None, problems=problems)
    places |= aliases(model, places)
    design = convert.design(model, problems)
    evaluations = convert.evaluations(model, problems)
    rules = convert.rules(model)
    tables = convert.tables(model, problems)
    check(design, evaluations, rules, problems)
    declared, adaptive = declared_seeds(model, problems)
    study = Study(
        name=model.study,
        workload=model.workload,
        design=design,
        title=model.title,
        paper=model.paper,
        notes=model.notes,
        config=plain(model.config),
        code=model.code,
        seeds=declared if seeds is None else seeds,
        adaptive=adaptive if seeds is None else None,
        evaluations=evaluations,
        tables=tables,
        claims=claims(model, problems),
        plots=plots(model, tables, problems),
        resources=rules,
        fuse=model.fuse,
        budget=convert.budget(model, problems),
        search=search(model, problems),
        patches=dict(patches),
        document=kept(export(node.data()), tables),
        places=places,
    )
    return Draft(study=study, problems=problems)


# --- patches of the command line ----------------------------------------------------------------------


def parse_patch(text: str) -> tuple[str, Any]:
    """Returns (dotted path, value) of a `--set` such as "network.depth=56".

    Raises:
        UsageError: No "=", no path, or a value that is not YAML.
    """
    path, separator, value = text.partition("=")
    path = path.strip()
    if not separator or not _PATH.fullmatch(path):
        raise UsageError(f"--set {quoted(text)}: expected PATH=VALUE, as network.depth=56")
    if not value.strip():
        raise UsageError(f"--set {quoted(text)}: no value; write null for none, or '' for empty text")
    problems = Problems("--set", {})
    try:
        found = plain(parse_value(value, "--set"))
        guard(source.from_plain({path: found}, "--set"), problems)
        problems.finish()
    except StudyError as error:
        # the text is not repeated: it may hold a secret
        raise UsageError(f"--set {path}: {error.problems[0].message}") from None
    return path, found


def parse_seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds of a `--seeds`: "5" means 0..4 as in a file, "0-4" and "0,2,5" say which.

    "0" is the seed 0 alone: no seeds at all is never meant.

    Raises:
        UsageError: Anything else.
    """
    try:
        if text.strip().isdecimal() and len(text.strip()) < 20:
            found = check_seeds(int(text) or 1)
        else:
            listed: list[int] = []
            for part in text.split(","):
                span = _RANGE.fullmatch(part)
                first, last = (int(span[1]), int(span[2])) if span else (int(part), int(part))
                if last < first or last - first >= MAX_COUNT or last > MAX_SEED:
                    raise ValueError(f"{part.strip()} is not a range of at most {MAX_COUNT:,} seeds")
                listed.extend(range(first, last + 1))
            found = check_seeds(listed)
    except (ValueError, PydanticCustomError) as error:
        reason = error.message() if isinstance(error, PydanticCustomError) else str(error)
        message = (
            f"--seeds {quoted(text)}: expected a number of seeds, a range 0-4 or a list 0,2,5 ({reason})"
        )
        raise UsageError(message) from None
    return found
