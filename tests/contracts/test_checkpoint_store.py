"""What every checkpoint store does: a checkpoint is complete and as it was written, or it is not used."""

from __future__ import annotations

import errno
import os
import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import CorruptError
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore
from orchestrator.store.checkpoints import DirectoryCheckpoints
from orchestrator.store.digests import DIGESTS
from orchestrator.store.object_checkpoints import ObjectCheckpoints
from tests.contracts.dying import killed_at, killed_everywhere
from tests.contracts.object_server import Bucket, Folder, Place, bucket, s3_server
from tests.contracts.storage_fixtures import key

__all__ = ["bucket", "s3_server"]

FILES = {
    "model.pt": bytes(range(256)) * 64,
    "deep/er/optimizer.pt": b"o" * 999,
    "config.json": b"{}",
    "empty": b"",
}
DAMAGES = ["bit", "truncated", "emptied", "file gone", "added", "digests", "gone"]
OUTSIDE = ["checkpoints/../../etc", "/etc", "checkpoints/{key}/../x", "results/{key}/1-a"]


TRIAL = f"checkpoints/{key('a')}"


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        return bucket
    return Folder(tmp_path / "store")


@pytest.fixture
def store(place: Place) -> CheckpointStore:
    return ObjectCheckpoints(place.objects) if isinstance(place, Bucket) else DirectoryCheckpoints(place.root)


def write(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def save(store: CheckpointStore, serial: int = 1) -> CheckpointRef:
    return store.save(key("a"), serial=serial, step=10 * serial, write=write)


def entries(place: Place) -> list[str]:
    """Returns the names in the trial's folder."""
    return sorted({name.removeprefix(f"{TRIAL}/").partition("/")[0] for name in place.names(TRIAL)})


def contents(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    del found[DIGESTS]
    return found


class TestCheckpoints:
    def test_what_was_saved_is_opened(self, store: CheckpointStore, place: Place) -> None:
        assert place.names() == []
        first, second = save(store), save(store, 2)
        assert (first.trial, first.serial, first.step) == (key("a"), 1, 10)
        assert first.size_bytes == sum(map(len, FILES.values()))
        assert first.path != second.path
        for ref in (first, second):
            folder = store.open(ref)
            assert contents(folder) == FILES
            store.done(folder)
            assert contents(store.open(ref)) == FILES

    def test_the_same_serial_twice_is_two_checkpoints(self, store: CheckpointStore) -> None:
        first, second = save(store), save(store)
        assert store.open(first) != store.open(second)

    def test_workers_get_a_copy(self, store: CheckpointStore) -> None:
        ref = save(store)
        assert contents(pickle.loads(pickle.dumps(store)).open(ref)) == FILES

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_damage_is_found_and_set_aside(self, store: CheckpointStore, place: Place, damage: str) -> None:
        before, ref = save(store), save(store, 2)
        name = f"{ref.path}/{DIGESTS if damage == 'digests' else 'model.pt'}"
        data = bytearray(place.read(name))
        assert store.check(ref) is None
        if damage in ("bit", "digests"):
            data[random.Random(2).randrange(len(data))] ^= 16
            place.write(name, bytes(data))
        elif damage == "truncated":
            place.write(name, bytes(data[:100]))
        elif damage == "emptied":
            place.write(name, b"")
        elif damage == "file gone":
            place.remove(name)
        elif damage == "added":
            place.write(f"{ref.path}/deep/evil.pkl", b"x")
        else:
            store.delete(ref)
        harmed = place.names()
        assert store.check(ref) is not None
        assert place.names() == harmed  # looking changes nothing
        with pytest.raises(CorruptError, match=ref.path):
            store.open(ref)
        aside = [name for name in entries(place) if name.startswith("corrupt-")]
        assert len(aside) == (0 if damage == "gone" else 1)
        assert place.names(ref.path) == []
        with pytest.raises(CorruptError, match="it is missing"):
            store.open(ref)
        assert contents(store.open(before)) == FILES

    def test_another_checkpoint_in_its_place_is_found(self, store: CheckpointStore) -> None:
        first, second = save(store), save(store, 2)
        with pytest.raises(CorruptError, match=DIGESTS):
            store.open(replace(second, path=first.path))

    @pytest.mark.parametrize("path", OUTSIDE)
    def test_paths_stay_inside(self, store: CheckpointStore, path: str) -> None:
        ref = replace(save(store), path=path.format(key=key("a")))
        for use in (store.open, store.delete):
            with pytest.raises(CorruptError, match="is no path of a checkpoint"):
                use(ref)
        with pytest.raises(ValueError, match="no trial key"):
            store.save("../x", serial=1, step=1, write=write)  # type: ignore[arg-type]

    def test_delete(self, store: CheckpointStore, place: Place) -> None:
        first, second = save(store), save(store, 2)
        store.delete(first)
        store.delete(first)
        assert entries(place) == [Path(second.path).name]


class TestTrouble:
    @pytest.mark.parametrize(
        ("files", "message"),
        [({}, "without any file"), ({DIGESTS: b""}, "choose another"), ({"link": None}, "plain files only")],
    )
    def test_what_is_no_checkpoint_is_refused(
        self, store: CheckpointStore, place: Place, files: dict[str, bytes | None], message: str
    ) -> None:
        def bad(folder: Path) -> None:
            for name, data in files.items():
                if data is None:
                    (folder / name).symlink_to("/etc/passwd")
                else:
                    (folder / name).write_bytes(data)

        with pytest.raises(ValueError, match=message):
            store.save(key("a"), serial=1, step=1, write=bad)
        assert place.names() == []

    def test_an_error_of_the_workload_leaves_nothing(self, store: CheckpointStore, place: Place) -> None:
        def fails(folder: Path) -> None:
            write(folder)
            raise RuntimeError("PytorchStreamWriter failed writing file")

        with pytest.raises(RuntimeError, match="PytorchStreamWriter"):
            store.save(key("a"), serial=1, step=1, write=fails)
        assert place.names() == []

    @pytest.mark.parametrize("nth", range(1, 9))
    def test_a_full_disk_at_any_sync_leaves_the_old_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
    ) -> None:
        # Of a directory: an object store has no disk that fills, and syncs nothing.
        place = Folder(tmp_path / "store")
        store = DirectoryCheckpoints(place.root)
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
        assert entries(place) == [Path(before.path).name]
        assert contents(store.open(before)) == FILES

    def test_sweep_takes_what_no_record_names(self, store: CheckpointStore, place: Place) -> None:
        assert store.sweep(older_than_s=0) == []
        listed, orphan, young = save(store), save(store, 2), save(store, 3)
        place.age(listed.path, 1000)
        place.age(orphan.path, 1000)
        assert store.sweep(older_than_s=500) == []
        (found,) = store.sweep(older_than_s=500, listed=[listed], dry=True)
        assert found[0] == orphan.path
        assert found[1] > sum(len(each) for each in FILES.values())  # the digests too
        assert len(entries(place)) == 3
        assert store.sweep(older_than_s=500, listed=[listed]) == [found]
        assert entries(place) == sorted([Path(listed.path).name, Path(young.path).name])

    def test_sweep_takes_temporary_folders(self, tmp_path: Path) -> None:
        """Of a directory: an object store has none."""
        place = Folder(tmp_path / "store")
        store = DirectoryCheckpoints(place.root)
        save(store)
        place.write(f"{TRIAL}/.tmp-1/model.pt", b"half")
        place.write(f"{TRIAL}/.tmp-2/model.pt", b"young")
        place.age(f"{TRIAL}/.tmp-1", 1000)
        named = [(f"{TRIAL}/.tmp-1", 4)]
        assert store.sweep(older_than_s=500, dry=True) == named
        assert ".tmp-1" in entries(place)
        assert store.sweep(older_than_s=500) == named
        assert {".tmp-1", ".tmp-2"} & set(entries(place)) == {".tmp-2"}

    def test_sweep_takes_checkpoints_without_digests(self, bucket: Bucket) -> None:
        """Of an object store: there the digests make a checkpoint."""
        store = ObjectCheckpoints(bucket.objects)
        whole, half, recorded = save(store), save(store, 2), save(store, 3)
        for ref in (half, recorded):
            bucket.remove(f"{ref.path}/{DIGESTS}")
        size = sum(len(each) for each in FILES.values())
        assert store.sweep(older_than_s=500, listed=[whole, recorded]) == []
        for ref in (whole, half, recorded):
            bucket.age(ref.path, 1000)
        assert store.sweep(older_than_s=500, listed=[whole, recorded]) == [(half.path, size)]
        assert entries(bucket) == sorted(Path(ref.path).name for ref in (whole, recorded))
        assert store.check(recorded) == f"{DIGESTS} is missing"

    def test_the_digests_are_deleted_first(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        store = ObjectCheckpoints(bucket.objects)
        ref = save(store)
        monkeypatch.setattr(type(bucket.objects), "delete_folder", lambda objects, folder: None)
        store.delete(ref)  # killed before the rest was deleted
        assert f"{ref.path}/{DIGESTS}" not in bucket.names(ref.path)
        assert bucket.names(ref.path)

    def test_what_is_done_with_leaves_this_machine(
        self, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        store = ObjectCheckpoints(bucket.objects)
        ref = save(store)
        folder = store.open(ref)
        assert folder.is_relative_to(tmp_path)
        assert folder.stat().st_mode & 0o077 == 0
        store.done(folder)
        store.check(ref)
        assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


PREPARE = """
from pathlib import Path
from orchestrator.store.checkpoints import DirectoryCheckpoints
from orchestrator.store.object_checkpoints import ObjectCheckpoints
from orchestrator.store.objects import Objects
def write(folder):
    for name, data in %r.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
"""
ATTEMPT = """
checkpoints = %s
checkpoints.delete(checkpoints.save(%r, serial=2, step=20, write=write))
"""


@pytest.mark.slow
def test_killed_at_every_durable_step_a_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    place = Folder(tmp_path / "store")
    store = DirectoryCheckpoints(place.root)
    before = save(store)
    number = 1
    attempt = ATTEMPT % ("DirectoryCheckpoints(Path(store))", key("a"))
    while killed_at(str(place.root), number, prepare=PREPARE % FILES, attempt=attempt):
        for path in (place.root / TRIAL).glob("[0-9]*"):
            assert contents(path) == FILES
        assert contents(store.open(before)) == FILES
        number += 3
    assert number > 15, "it was killed at too few places to mean anything"
    store.sweep(older_than_s=0, listed=[before])
    assert entries(place) == [Path(before.path).name]


@pytest.mark.slow
def test_killed_at_every_request_a_checkpoint_is_whole_or_absent(bucket: Bucket) -> None:
    store = ObjectCheckpoints(bucket.objects)
    before = save(store)
    files = {name: FILES[name] for name in ("model.pt", "deep/er/optimizer.pt")}
    attempt = ATTEMPT % ("ObjectCheckpoints(Objects(store))", key("a"))
    number = killed_everywhere(bucket.objects.uri, prepare=PREPARE % files, attempt=attempt)
    assert number > 20, "it was killed at too few places to mean anything"
    left = set(entries(bucket)) - {Path(before.path).name}
    assert len(left) > 5
    complete = [name for name in left if f"{TRIAL}/{name}/{DIGESTS}" in bucket.names(f"{TRIAL}/{name}")]
    assert 0 < len(complete) < len(left)
    for name in complete:
        found = bucket.names(f"{TRIAL}/{name}")
        assert sorted(found) == sorted(f"{TRIAL}/{name}/{each}" for each in [*files, DIGESTS])
        for each, data in files.items():
            assert bucket.read(f"{TRIAL}/{name}/{each}") == data
    assert {Path(path).name for path, _ in store.sweep(older_than_s=0, listed=[before])} == left
    assert entries(bucket) == [Path(before.path).name]
    assert contents(store.open(before)) == FILES
