"""`orch cancel`, `db upgrade`, `compact`, `gc` and `fsck --repair` are killed, or fail, at every step.

Each is done or not done afterwards, and done again it comes to the same; then the study is as undisturbed.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.registry import schema
from tests.recovery.invariants import assert_invariants, finished
from tests.recovery.newer_schema import REVISION, newer
from tests.recovery.nursery import KILL, Fault, every, memory, spread, warm
from tests.recovery.small_study import at, undisturbed
from tests.recovery.test_error_sweep import told
from tests.street.orch import Orch

__all__ = ["memory"]
FEW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A command in a store.

    Attributes:
        arguments: The command.
        prepare: Makes the store.
        afterwards: Does it again, and ends with the study whole; checks what must hold meanwhile.
        setup: For the process that runs the command.
    """

    arguments: tuple[str, ...]
    prepare: Callable[[Orch], None]
    afterwards: Callable[[Orch], None]
    setup: str = ""


def submitted(orch: Orch) -> None:
    orch("submit", "study.yaml", "--cells", "x=1")
    orch("submit", "study.yaml")


def half(orch: Orch) -> None:
    assert warm()(orch, "submit", "study.yaml", fault=Fault(step=undisturbed().steps // 2)).killed


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damaged(orch: Orch) -> None:
    submitted(orch)
    store = orch.directory / "store"
    flip(sorted((store / "results").glob("*.parquet"))[0])
    for folder in sorted((store / "checkpoints").iterdir())[:2]:
        flip(sorted(folder.glob("[0-9]*-*"))[-1] / "state.json")


def littered(orch: Orch) -> None:
    submitted(orch)
    store = orch.directory / "store"
    part = sorted((store / "results").glob("*.parquet"))[0]
    shutil.copy(part, part.with_name("0" * 32 + ".parquet"))
    (store / "results" / ".tmp-1").write_bytes(b"half")
    (store / "backups" / ".tmp-1.db").write_bytes(b"half")
    (sorted((store / "checkpoints").iterdir())[0] / ".tmp-1").mkdir()


def cancelled(orch: Orch) -> None:
    done = set(finished(orch, "demo"))
    states = Counter(
        each["state"] for each in orch("show", "demo", "--json").json["trials"] if each["trial"] not in done
    )
    # What the dead driver left running bears a mark, and is cancelled when somebody takes the study over.
    assert set(states) <= {"cancelled", "running"} or "cancelled" not in states, f"one half only: {states}"
    orch("cancel", "demo")
    assert orch("resume", "demo", "--json").json["trained"] == 0
    orch("resume", "demo", "--include-cancelled")


def upgraded(orch: Orch) -> None:
    registry = str(orch.directory / "store" / "registry.db")
    assert schema.current(registry) in (schema.head(), REVISION)
    with newer():
        orch("db", "upgrade")
        assert schema.current(registry) == REVISION
        assert orch("table", "demo", "--format", "csv").out == undisturbed().golden.tables
    orch("table", "demo", code=5)  # written by a newer version
    with newer():
        schema.downgrade(registry, "0001")


def compacted(orch: Orch) -> None:
    assert orch("table", "demo", "--format", "csv").out == undisturbed().golden.tables
    assert orch("compact", "--json").json["after"] == 1


def collected(orch: Orch) -> None:
    assert orch("fsck", "--json").json["damage"] == []
    orch("gc", "--grace", "0", "--delete")
    assert orch("gc", "--grace", "0").out.startswith("0 things")


def repaired(orch: Orch) -> None:
    orch("fsck", "--repair")
    orch("resume", "demo")


SCENES = {
    "cancel": Scene(arguments=("cancel", "demo"), prepare=half, afterwards=cancelled),
    "upgrade": Scene(
        arguments=("db", "upgrade"),
        prepare=submitted,
        afterwards=upgraded,
        setup="tests.recovery.newer_schema:install",
    ),
    "compact": Scene(arguments=("compact",), prepare=submitted, afterwards=compacted),
    "gc": Scene(arguments=("gc", "--grace", "0", "--delete"), prepare=littered, afterwards=collected),
    "fsck": Scene(arguments=("fsck", "--repair"), prepare=damaged, afterwards=repaired),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [KILL, "ENOSPC", "EIO"])
@pytest.mark.parametrize("name", SCENES)
def test_struck_at_any_step(memory: Path, name: str, kind: str) -> None:
    scene, expected = SCENES[name], undisturbed().golden
    template = at(memory / "template")
    scene.prepare(template)
    options = {"kind": kind, "ever": kind == "ENOSPC", "statements": kind == KILL, "setup": scene.setup}

    def copy(number: int) -> Orch:
        orch = at(memory / str(number))
        shutil.copytree(template.directory / "store", orch.directory / "store")
        return orch

    count = warm()(copy(0), *scene.arguments, fault=Fault(**options)).steps  # type: ignore[arg-type]
    assert count > (20 if kind == KILL else 2), "too few steps to mean anything"
    numbers = spread(count, FEW)
    for number in numbers if every() or kind == KILL else numbers[1:2]:
        orch = copy(number)
        before = {} if name == "fsck" else finished(orch, "demo")
        ended = warm()(orch, *scene.arguments, fault=Fault(step=number, **options))  # type: ignore[arg-type]
        assert ended.struck, f"step {number} of {count} was never reached: {ended}"
        if kind == KILL:
            assert ended.killed
        else:
            told(ended, kind)
        scene.afterwards(orch)
        assert_invariants(orch, "demo", expected, before=before)
        shutil.rmtree(orch.directory)
