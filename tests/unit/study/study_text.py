"""Small study files for tests: a head that is valid, and the problems of one that is not."""

from __future__ import annotations

from pathlib import Path

from small_workload import SPEC

from orchestrator.errors import Problem, StudyError
from orchestrator.model.plan import Plan
from orchestrator.model.study import Study
from orchestrator.study.load import load
from orchestrator.study.plan import plan

HEAD = "api_version: 1\nstudy: s\nworkload: small\n"
DEPTH = "design:\n  type: factorial\n  factors:\n    depth: {path: network.depth, levels: [14, 26]}\n"
FACTORS = "design:\n  type: factorial\n  factors:\n"
EXAMPLES = Path(__file__).parent / "examples"


def write(folder: Path, text: str, name: str = "study.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, **options: object) -> Study:
    return load(write(folder, HEAD + text), **options)  # type: ignore[arg-type]


def planned(folder: Path, text: str, **options: object) -> Plan:
    return plan(loaded(folder, text, **options), SPEC)


def problems(folder: Path, text: str, *, head: str = HEAD, planning: bool = True) -> list[Problem]:
    """Returns what is wrong with a study file, by loading and planning it."""
    path = write(folder, head + text)
    try:
        study = load(path)
        if planning:
            plan(study, SPEC)
    except StudyError as error:
        return list(error.problems)
    raise AssertionError("nothing was found wrong")
