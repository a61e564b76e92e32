"""Everyday mistakes: what is said of each is kept in tests/golden/mistakes, and is enough to mend it.

ORCH_GOLDEN=1 writes the files anew; read what changed as somebody who has never seen orch.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.inputs.mistakes import MISTAKES, Mistake
from tests.inputs.refusals import check_shape
from tests.street.orch import Orch

GOLDEN = Path(__file__).parents[1] / "golden" / "mistakes"


def shown(mistake: Mistake, folder: Path) -> str:
    """Returns the command, the files, the exit code and what is said, without what differs each time."""
    mistake.write(folder)
    orch = Orch(directory=folder)
    with mistake.around(orch):
        done = orch(*mistake.command.split(), code=None)
    assert done.code not in (0, 70), done
    check_shape(done) if done.err else None
    said = "".join(line for line in (done.err or done.out).splitlines(keepends=True) if told(line))
    for part in mistake.told:
        assert part in said, f"{mistake.name} does not say {part!r}: {said}"
    said = said.replace(str(folder), "DIR")
    said = re.sub(r"\b(process|kill) \d+", r"\1 N", re.sub(r"\d+(\.\d+)? s\b", "N s", said))
    files = "".join(
        f"--- {name}\n{text}" for name, text in {"study.yaml": mistake.study, **mistake.files}.items()
    )
    return f"$ orch {mistake.command}\n{files}--- exit {done.code}\n{said}"


def told(line: str) -> bool:
    """Returns whether a line is an error, or says how a submission was stopped."""
    return "error[" in line or line.startswith(("stopped", "interrupted", "failed"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each.name)
def test_a_mistake_is_told_as_it_was_read_and_found_clear(mistake: Mistake, tmp_path: Path) -> None:
    found = shown(mistake, tmp_path)
    file = GOLDEN / f"{mistake.name}.txt"
    if os.environ.get("ORCH_GOLDEN") == "1":
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


def test_there_are_twenty_and_no_file_too_many() -> None:
    names = [each.name for each in MISTAKES]
    assert len(set(names)) == len(names) >= 20
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(names)
