"""Damaged study files and arguments: refused or taken, and nothing else.

A few hundred by default; ORCH_FUZZ=1 (`make fuzz`) tries 10,000 files and 2,000 arguments, ORCH_FUZZ_FROM
others.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest

from orchestrator.cli.main import run
from tests.fuzz.mutants import argument, mutant
from tests.fuzz.watch import most_memory, watched
from tests.street.orch import ROOT

WHOLE = os.environ.get("ORCH_FUZZ") == "1"
FIRST = int(os.environ.get("ORCH_FUZZ_FROM", "0"))
FILES, ARGUMENTS, BATCH = (10_000, 2_000, 250) if WHOLE else (160, 80, 80)
MOST_S = 2.0  # of the processor, so that a busy machine is no fault
MOST_BYTES = 300 * 2**20

SEEDS = tuple(
    path.read_text(encoding="utf-8")
    for path in (
        *(
            ROOT / "studies" / f"{name}.yaml"
            for name in ("smoke", "tuned_skips", "zhao_table_6", "veit_effective")
        ),
        *sorted((ROOT / "tests" / "unit" / "study" / "examples").glob("*.yaml")),
    )
)
PATHS = (
    *("epochs", "batch_size", "optimizer.lr", "optimizer.weight_decay", "network.name", "network.depth"),
    *(
        "network.width",
        "network.members",
        "data.name",
        "data.augmentation",
        "schedule.name",
        "schedule",
        "seeds",
    ),
    *("network", "x", "optimizer.token", "recipe", "probe_every", "network.bn_momentum", ""),
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "ORCH_STORE": str(tmp_path / "store"),
        "ORCH_MLFLOW_URI": "off",
        "ORCH_WORKLOAD_MODULES": "tests.toy_workload",
    }
    with mock.patch.dict(os.environ, environment, clear=True), contextlib.chdir(tmp_path):
        (tmp_path / "study.yaml").write_text(SEEDS[0], encoding="utf-8")
        for verb in ("validate", "plan"):
            told([verb, "study.yaml"])  # what is imported once is nobody's fault
        yield tmp_path


def told(arguments: Sequence[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    return code, out.getvalue(), err.getvalue()


def check(arguments: Sequence[str], what: object, place: Path) -> int:
    before, began = most_memory(), time.process_time()
    with watched() as seen:
        code, out, err = told(arguments)
    spent = time.process_time() - began
    assert code in (0, 2), f"{what}: exit {code}\n{err[-2000:]}"
    assert "Traceback" not in out + err, f"{what}\n{err[-2000:]}"
    assert code == 0 or "error[" in err, f"{what}: no message\n{err[-2000:]}"
    assert all(each.isprintable() for each in err.splitlines()), f"{what}: {err!r}"
    assert spent < MOST_S, f"{what}: {spent:.1f} s"
    assert most_memory() - before < MOST_BYTES, f"{what}: {most_memory() - before:,} bytes"
    assert not seen, f"{what}: {seen}"
    assert [each.name for each in place.iterdir()] == ["study.yaml"], what
    return code


@pytest.mark.parametrize("first", range(0, FILES, BATCH))
def test_damaged_study_files_are_refused_or_taken(place: Path, first: int) -> None:
    codes = []
    for number in range(FIRST + first, FIRST + first + min(BATCH, FILES)):
        (place / "study.yaml").write_bytes(mutant(number, SEEDS))
        codes.append(check(["validate", "study.yaml"], f"mutant {number}", place))
    assert {0, 2} == set(codes), "the mutants are all alike: they try nothing"


@pytest.mark.parametrize("first", range(0, ARGUMENTS, BATCH))
def test_damaged_arguments_are_refused_or_taken(place: Path, first: int) -> None:
    codes = []
    for number in range(FIRST + first, FIRST + first + min(BATCH, ARGUMENTS)):
        given = argument(number, PATHS)
        codes.append(check(["plan", "study.yaml", "--set", given], f"argument {number}: {given!r}", place))
    assert {0, 2} == set(codes), "the arguments are all alike: they try nothing"
