"""What every checkpoint store does: a checkpoint is complete and as it was written, or it is not used."""

from __future__ import annotations

import errno
import os
import pickle
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import CorruptError
from orchestrator.model.run import CheckpointRef
from orchestrator.store.checkpoints import DIGESTS, DirectoryCheckpoints
from tests.contracts.dying import killed_at
from tests.contracts.storage_fixtures import key

FILES = {
    "model.pt": bytes(range(256)) * 64,
    "deep/er/optimizer.pt": b"o" * 999,
    "config.json": b"{}",
    "empty": b"",
}
DAMAGES = ["bit", "truncated", "emptied", "file gone", "added", "digests", "gone"]
OUTSIDE = ["checkpoints/../../etc", "/etc", "checkpoints/{key}/../x", "results/{key}/1-a"]


@pytest.fixture(params=["directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DirectoryCheckpoints:
    return {"directory": DirectoryCheckpoints}[request.param](tmp_path / "store")


def write(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def save(store: DirectoryCheckpoints, serial: int = 1) -> CheckpointRef:
    return store.save(key("a"), serial=serial, step=10 * serial, write=write)


def contents(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    del found[DIGESTS]
    return found


class TestCheckpoints:
    def test_what_was_saved_is_opened(self, store: DirectoryCheckpoints) -> None:
        assert not store.root.exists()
        first, second = save(store), save(store, 2)
        assert (first.trial, first.serial, first.step) == (key("a"), 1, 10)
        assert first.size_bytes == sum(map(len, FILES.values()))
        assert first.path != second.path
        for ref in (first, second):
            assert contents(store.open(ref)) == FILES

    def test_the_same_serial_twice_is_two_checkpoints(self, store: DirectoryCheckpoints) -> None:
        first, second = save(store), save(store)
        assert store.open(first) != store.open(second)

    def test_workers_get_a_copy(self, store: DirectoryCheckpoints) -> None:
        ref = save(store)
        assert contents(pickle.loads(pickle.dumps(store)).open(ref)) == FILES

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_damage_is_found_and_set_aside(self, store: DirectoryCheckpoints, damage: str) -> None:
        before, ref = save(store), save(store, 2)
        folder = store.root / ref.path
        path = folder / (DIGESTS if damage == "digests" else "model.pt")
        data = bytearray(path.read_bytes())
        if damage in ("bit", "digests"):
            data[random.Random(2).randrange(len(data))] ^= 16
            path.write_bytes(data)
        elif damage == "truncated":
            path.write_bytes(data[:100])
        elif damage == "emptied":
            path.write_bytes(b"")
        elif damage == "file gone":
            path.unlink()
        elif damage == "added":
            (folder / "deep" / "evil.pkl").write_bytes(b"x")
        else:
            store.delete(ref)
        with pytest.raises(CorruptError, match=ref.path):
            store.open(ref)
        aside = [p for p in folder.parent.iterdir() if p.name.startswith("corrupt-")]
        assert len(aside) == (0 if damage == "gone" else 1)
        assert not folder.exists()
        with pytest.raises(CorruptError, match="it is missing"):
            store.open(ref)
        assert contents(store.open(before)) == FILES

    def test_another_checkpoint_in_its_place_is_found(self, store: DirectoryCheckpoints) -> None:
        first, second = save(store), save(store, 2)
        with pytest.raises(CorruptError, match=DIGESTS):
            store.open(replace(second, path=first.path))

    @pytest.mark.parametrize("path", OUTSIDE)
    def test_paths_stay_inside(self, store: DirectoryCheckpoints, path: str) -> None:
        ref = replace(save(store), path=path.format(key=key("a")))
        for use in (store.open, store.delete):
            with pytest.raises(CorruptError, match="is no path of a checkpoint"):
                use(ref)
        with pytest.raises(ValueError, match="no trial key"):
            store.save("../x", serial=1, step=1, write=write)  # type: ignore[arg-type]

    def test_delete(self, store: DirectoryCheckpoints) -> None:
        first, second = save(store), save(store, 2)
        store.delete(first)
        store.delete(first)
        assert [p.name for p in (store.root / first.path).parent.iterdir()] == [Path(second.path).name]


class TestTrouble:
    def nothing_left(self, store: DirectoryCheckpoints) -> bool:
        return list((store.root / "checkpoints" / key("a")).iterdir()) == []

    @pytest.mark.parametrize(
        ("files", "message"),
        [({}, "without any file"), ({DIGESTS: b""}, "choose another"), ({"link": None}, "plain files only")],
    )
    def test_what_is_no_checkpoint_is_refused(
        self, store: DirectoryCheckpoints, files: dict[str, bytes | None], message: str
    ) -> None:
        def bad(folder: Path) -> None:
            for name, data in files.items():
                if data is None:
                    (folder / name).symlink_to("/etc/passwd")
                else:
                    (folder / name).write_bytes(data)

        with pytest.raises(ValueError, match=message):
            store.save(key("a"), serial=1, step=1, write=bad)
        assert self.nothing_left(store)

    def test_an_error_of_the_workload_leaves_nothing(self, store: DirectoryCheckpoints) -> None:
        def fails(folder: Path) -> None:
            write(folder)
            raise RuntimeError("PytorchStreamWriter failed writing file")

        with pytest.raises(RuntimeError, match="PytorchStreamWriter"):
            store.save(key("a"), serial=1, step=1, write=fails)
        assert self.nothing_left(store)

    @pytest.mark.parametrize("nth", range(1, 9))
    def test_a_full_disk_at_any_sync_leaves_the_old_ones(
        self, store: DirectoryCheckpoints, monkeypatch: pytest.MonkeyPatch, nth: int
    ) -> None:
        before = save(store)
        calls = [0]
        real = os.fsync

        def full(handle: int) -> None:
            calls[0] += 1
            if calls[0] == nth:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(handle)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space left") as caught:
                save(store, 2)
        assert caught.value.errno == errno.ENOSPC
        assert [p.name for p in (store.root / before.path).parent.iterdir()] == [Path(before.path).name]
        assert contents(store.open(before)) == FILES

    def test_sweep_takes_old_leftovers_and_unrecorded_ones(self, store: DirectoryCheckpoints) -> None:
        assert store.sweep(older_than_s=0) == []
        listed, orphan, young = save(store), save(store, 2), save(store, 3)
        folder = store.root / "checkpoints" / key("a")
        (folder / ".tmp-1").mkdir()
        (folder / ".tmp-1" / "model.pt").write_bytes(b"half")
        (folder / ".tmp-2").mkdir()
        long_ago = time.time() - 1000
        for name in (listed.path, orphan.path, f"checkpoints/{key('a')}/.tmp-1"):
            os.utime(store.root / name, (long_ago, long_ago))
        named = [(f"checkpoints/{key('a')}/.tmp-1", 4)]
        assert store.sweep(older_than_s=500, dry=True) == named
        assert (folder / ".tmp-1").exists()
        assert store.sweep(older_than_s=500) == named
        (found,) = store.sweep(older_than_s=500, listed=[listed])
        assert found[0] == orphan.path
        assert found[1] > sum(len(each) for each in FILES.values())  # the digests too
        left = sorted(p.name for p in folder.iterdir())
        assert left == sorted([".tmp-2", Path(listed.path).name, Path(young.path).name])


PREPARE = """
from orchestrator.store.checkpoints import DirectoryCheckpoints
def write(folder):
    for name, data in %r.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
"""
ATTEMPT = """
checkpoints = DirectoryCheckpoints(store)
checkpoints.delete(checkpoints.save(%r, serial=2, step=20, write=write))
"""


@pytest.mark.slow
def test_killed_at_every_durable_step_a_checkpoint_is_whole_or_absent(store: DirectoryCheckpoints) -> None:
    before = save(store)
    folder = store.root / "checkpoints" / key("a")
    number = 1
    code = {"prepare": PREPARE % FILES, "attempt": ATTEMPT % key("a")}
    while killed_at(store.root, number, **code):
        for path in folder.glob("[0-9]*"):
            assert contents(path) == FILES
        assert contents(store.open(before)) == FILES
        number += 3
    assert number > 15, "it was killed at too few places to mean anything"
    store.sweep(older_than_s=0, listed=[before])
    assert [p.name for p in folder.iterdir()] == [Path(before.path).name]
