"""What every refusal has in common, and the studies that are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.watch import watched
from tests.street.orch import Done, Orch

HEAD = "api_version: 1\nstudy: s\nworkload: classification\n"
CONFIG = "config: {data: {name: digits}, network: {name: resnet}, epochs: 2}\n"
DESIGN = "design:\n  type: factorial\n  factors:\n    depth: {path: network.depth, levels: [14, 26]}\n"
SOUND = HEAD + CONFIG + DESIGN
TOY = """api_version: 1
study: toy
workload: tests.toy_workload:SPEC
config: {steps: 2}
design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}
seeds: 1
tables: {t: {rows: x, metric: test_error}}
"""
SHAPE = re.compile(r"(\S.*?:\d+:\d+: |\S+: |)error\[[a-z0-9-]+\]: \S.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder with the command line in it.

    Attributes:
        orch: The command line.
    """

    orch: Orch

    @property
    def folder(self) -> Path:
        return self.orch.directory

    def refused(
        self, text: str | bytes, *parts: str, command: str = "validate study.yaml", code: int = 2
    ) -> str:
        """Returns what is said of a study file; it has the common shape, and nothing else has happened.

        Args:
            text: The file.
            parts: What the message must hold.
            command: What is asked, without `orch`.
            code: The exit code.
        """
        file = self.folder / "study.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.told(command, *parts, code=code)

    def told(self, command: str, *parts: str, code: int = 2) -> str:
        """Returns what a command that is refused says."""
        before = sorted(path.name for path in self.folder.iterdir())
        with watched() as seen:
            done = self.orch(*command.split(), code=code)
        check_shape(done)
        for part in parts:
            assert part in done.err, f"{part!r} is not in: {done.err}"
        assert sorted(path.name for path in self.folder.iterdir()) == before
        assert [each for each in seen if "'git'" not in each] == []
        return done.err

    def taken(self, text: str, command: str = "validate study.yaml") -> Done:
        """Returns what is said of a study file that is sound."""
        (self.folder / "study.yaml").write_text(text)
        return self.orch(*command.split())


def check_shape(done: Done) -> None:
    """Checks that every line of an error has the common shape, and can be printed anywhere."""
    assert done.err, done.out
    assert "Traceback" not in done.err + done.out
    for line in done.err.splitlines():
        assert SHAPE.fullmatch(line) or not line.startswith("error"), line
        assert line.isprintable(), repr(line)
    assert any(SHAPE.fullmatch(line) for line in done.err.splitlines()), done.err
