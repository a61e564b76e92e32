"""The command lines in deploy/: every option is one that the installed program has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.files import DEPLOY, walk

BIN = Path(sys.executable).parent
PROGRAMS = ("mlflow server", "orch ui", "orch db upgrade", "ray start", "ray stop", "ray health-check")


# Ray's commands together: to import it takes longer than all else.
_RAY = """
import ray.scripts.scripts as scripts
for name in ("start", "stop", "health-check"):
    command = scripts.cli.commands[name]
    print("ray", name, *(option for each in command.params for option in (*each.opts, *each.secondary_opts)))
"""


@cache
def of_ray() -> dict[str, frozenset[str]]:
    """Returns program -> options, of Ray's commands."""
    done = subprocess.run([sys.executable, "-c", _RAY], capture_output=True, text=True, check=True)
    words = [line.split() for line in done.stdout.splitlines() if line.startswith("ray ")]
    return {" ".join(each[:2]): frozenset(each[2:]) for each in words}


@cache
def options(program: str) -> frozenset[str]:
    """Returns the options that a program has."""
    name, *rest = program.split()
    if name == "ray":
        return of_ray()[program]
    command = [str(BIN / name), *rest, "--help"]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"(?<![\w-])--[a-z][\w-]*", done.stdout))


def commands() -> Iterator[tuple[str, str]]:
    """Yields file and command line, wherever one of the programs is called."""
    for path in sorted(DEPLOY.rglob("*")):
        if path.suffix in (".yaml", ".yml"):
            for document in YAML(typ="safe").load_all(path.read_text(encoding="utf-8")):
                for each in walk(document):
                    yield from ((path.name, text) for text in _lines(each))
        elif path.suffix in (".service", ".sh", ".sbatch"):
            text = path.read_text(encoding="utf-8").replace("\\\n", " ")
            yield from ((path.name, line) for line in text.splitlines() if not line.startswith("#"))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif (
        isinstance(value, list)
        and value
        and all(isinstance(each, str) for each in value)
        and " " not in value[0]
    ):
        yield " ".join(value)


def calls() -> list[tuple[str, str, str]]:
    """Returns file, program and its arguments."""
    found = set()
    for file, line in commands():
        for program in PROGRAMS:
            for match in re.finditer(rf"(?:^|[\s/;]){program}(?= |$)([^;|&]*)", line):
                found.add((file, program, match[1].strip()))
    return sorted(found)


def test_every_program_is_called_somewhere() -> None:
    assert {program for _, program, _ in calls()} == set(PROGRAMS)


@pytest.mark.parametrize(("file", "program", "arguments"), calls())
def test_options_exist(file: str, program: str, arguments: str) -> None:
    used = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", arguments))
    assert used <= options(program)


def test_start_parameters_of_the_operator_are_options_of_ray() -> None:
    found = set()
    for path in (DEPLOY / "kubernetes").rglob("*.yaml"):
        for document in YAML(typ="safe").load_all(path.read_text(encoding="utf-8")):
            for each in walk(document):
                if isinstance(each, dict) and isinstance(each.get("rayStartParams"), dict):
                    found |= {f"--{name}" for name in each["rayStartParams"]}
    assert found
    assert found <= options("ray start")
