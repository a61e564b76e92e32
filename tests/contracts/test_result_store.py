"""What every result store does: parts come back whole, or not at all."""

from __future__ import annotations

import errno
import io
import math
import os
import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import CorruptError
from orchestrator.model.plan import TrialKey
from orchestrator.model.result import ResultRow
from orchestrator.store import part_files
from orchestrator.store.frame import ROW_SCHEMA
from orchestrator.store.objects import Objects
from orchestrator.store.part_files import PartObjects
from orchestrator.store.results import ParquetResults
from tests.contracts.dying import killed_at, killed_everywhere
from tests.contracts.object_server import Bucket, Folder, Place, bucket, s3_server
from tests.contracts.storage_fixtures import key

__all__ = ["bucket", "s3_server"]


@pytest.fixture(params=["directory", "s3", "s3 without copies"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "directory":
        return Folder(tmp_path / "store")
    bucket: Bucket = request.getfixturevalue("bucket")
    return bucket


@pytest.fixture
def store(request: pytest.FixtureRequest, place: Place, tmp_path: Path) -> ParquetResults:
    if isinstance(place, Folder):
        return ParquetResults(place.root)
    copies = None if "without" in request.node.callspec.params["place"] else tmp_path / "copies"
    return ParquetResults(PartObjects(place.objects, copies))


def rows_of(trial: object, count: int = 3) -> list[ResultRow]:
    return [
        ResultRow(
            trial=key(trial),
            evaluation="lesion",
            coords={"layer": n, "path": "µ/ü"} if n % 2 else {},
            seed=2**40 + n,
            draw=n,
            step=n,
            metric="test_error",
            value=[0.1 + n, math.inf, -math.inf, 5e-324][n % 4],
            outcome="succeeded",
        )
        for n in range(count)
    ]


class TestParts:
    def test_rows_come_back_in_their_order(self, store: ParquetResults, place: Place) -> None:
        assert place.names() == []  # nothing is made before there is something to write
        first, second = store.write(rows_of("a", 5)), store.write(rows_of("b"))
        assert store.read([second, first]) == rows_of("b") + rows_of("a", 5)
        assert store.read([first, second], [key("b")]) == rows_of("b")
        assert store.read([first], []) == []
        assert store.read([]) == []
        assert first.rows == 5
        assert first.size_bytes == len(place.read(first.path))
        assert first.path != second.path
        assert "\\" not in first.path

    def test_a_value_that_is_no_number_comes_back(self, store: ParquetResults) -> None:
        part = store.write([replace(rows_of("a")[0], value=math.nan, outcome="diverged")])
        (row,) = store.read([part])
        assert math.isnan(row.value)
        assert row.outcome == "diverged"

    def test_equal_coordinates_are_equal_texts(self, store: ParquetResults) -> None:
        row = rows_of("a")[0]
        part = store.write([replace(row, coords={"b": 1, "a": 2}), replace(row, coords={"a": 2, "b": 1})])
        assert store.scan([part]).get_column("coords").to_list() == ['{"a":2,"b":1}'] * 2

    def test_no_rows_no_part(self, store: ParquetResults, place: Place) -> None:
        with pytest.raises(ValueError, match="at least one row"):
            store.write([])
        assert place.names() == []

    @pytest.mark.parametrize("damage", ["bit", "truncated", "emptied", "longer", "missing"])
    def test_damage_is_told_and_no_number_comes_out(
        self, store: ParquetResults, place: Place, damage: str
    ) -> None:
        good, bad = store.write(rows_of("a", 40)), store.write(rows_of("b", 40))
        data = bytearray(place.read(bad.path))
        if damage == "missing":
            place.remove(bad.path)
        else:
            if damage == "bit":
                data[random.Random(0).randrange(len(data))] ^= 1
            changed = {"truncated": data[:-7], "emptied": b"", "longer": data + b"x"}
            place.write(bad.path, bytes(changed.get(damage, data)))
        for use in (store.read, store.compact):
            with pytest.raises(CorruptError, match=rf"{bad.path}.*orch fsck"):
                use([good, bad])
        assert store.read([good]) == rows_of("a", 40)

    def test_every_flipped_bit_is_found(self, tmp_path: Path) -> None:
        root = tmp_path / "store"
        part = ParquetResults(root).write(rows_of("a"))
        data = (root / part.path).read_bytes()
        for place in random.Random(1).sample(range(8 * len(data)), 200):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            (root / part.path).write_bytes(changed)
            with pytest.raises(CorruptError):
                ParquetResults(root).read([part])

    def test_a_part_that_is_damaged_after_it_was_read_is_found(
        self, store: ParquetResults, place: Place
    ) -> None:
        part = store.write(rows_of("a"))
        place.age(part.path, 1000)  # an object's time is in whole seconds
        store.read([part])
        data = bytearray(place.read(part.path))
        data[50] ^= 4
        place.write(part.path, bytes(data))
        with pytest.raises(CorruptError):
            store.read([part])

    def test_a_newer_schema_is_refused(self, store: ParquetResults, place: Place) -> None:
        import hashlib

        part = store.write(rows_of("a"))
        table = pq.read_table(io.BytesIO(place.read(part.path)))
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({b"orch_schema": b"77"}), buffer)
        data = buffer.getvalue()
        place.write(part.path, data)
        listed = replace(part, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        with pytest.raises(CorruptError, match="schema 77"):
            store.read([listed])

    def test_strangers_in_the_folder_are_not_read(self, store: ParquetResults, place: Place) -> None:
        part = store.write(rows_of("a"))
        place.write("results/.tmp-1", b"half")
        place.write("results/stranger.parquet", b"no part")
        assert store.read([part]) == rows_of("a")


class TestScan:
    def test_columns_are_those_of_the_frame(self, store: ParquetResults, place: Place) -> None:
        parts = [store.write(rows_of("a")), store.write(rows_of("b", 2))]
        for frame in (store.scan(parts), store.scan([])):
            assert dict(frame.schema) == dict(ROW_SCHEMA)
        frame = store.scan(parts)
        assert frame.get_column("part").to_list() == [parts[0].path] * 3 + [parts[1].path] * 2
        expected = pl.concat([pl.read_parquet(place.read(part.path)) for part in parts])
        assert frame.drop("part").equals(expected)

    def test_a_part_listed_twice_counts_once(self, store: ParquetResults) -> None:
        part = store.write(rows_of("a"))
        assert store.scan([part, part]).height == 3

    def test_every_row_bears_the_name_of_its_part_also_without_curves(self, store: ParquetResults) -> None:
        tested = [replace(row, evaluation="test") for row in rows_of("b", 1)]
        curves = [replace(row, evaluation="train") for row in rows_of("b", 2)]
        parts = [store.write(rows) for rows in (curves, curves + tested, tested * 2, tested)]
        paths = [part.path for part in parts]
        assert list(store.scan(parts).get_column("part")) == [paths[n] for n in (0, 0, 1, 1, 1, 2, 2, 3)]
        without = store.scan(parts, curves=False)
        assert list(without.get_column("part")) == [paths[n] for n in (1, 2, 2, 3)]
        assert set(without.get_column("evaluation")) == {"test"}
        assert store.scan(parts[:1], curves=False).is_empty()


class TestCompaction:
    def test_all_rows_in_one_part(self, store: ParquetResults, place: Place) -> None:
        parts = [store.write(rows_of(n, 4)) for n in range(5)]
        joined = store.compact(parts)
        expected = sorted((row for n in range(5) for row in rows_of(n, 4)), key=lambda row: row.trial)
        assert store.read([joined]) == expected
        assert {part.path for part in parts} < set(place.names())

    def test_rows_that_are_not_valid_are_dropped(self, store: ParquetResults) -> None:
        def valued(value: float) -> list[ResultRow]:
            return [replace(row, value=value) for row in rows_of("a")]

        stale, valid = store.write(valued(1.0) + rows_of("b")), store.write(valued(2.0))
        where: dict[TrialKey, str] = {key("a"): valid.path, key("b"): stale.path}
        joined = store.compact([stale, valid], valid=where)
        assert store.read([joined], [key("a")]) == valued(2.0)
        assert store.read([joined], [key("b")]) == rows_of("b")
        with pytest.raises(ValueError, match="nothing to compact"):
            store.compact([stale], valid={})


class TestSweep:
    def test_only_old_and_unlisted_files_go(self, store: ParquetResults, place: Place) -> None:
        assert store.sweep([], older_than_s=0) == []
        listed, orphan, young = (store.write(rows_of(n)) for n in range(3))
        place.write("results/note.txt", b"mine")
        named = [(orphan.path, orphan.size_bytes)]
        old = [listed.path, orphan.path]
        if isinstance(place, Folder):  # in a bucket, what is half-written is not there at all
            place.write("results/.tmp-abc", b"half")
            named = sorted([*named, ("results/.tmp-abc", 4)])
            old.append("results/.tmp-abc")
        for name in old:
            place.age(name, 1000)
        assert sorted(store.sweep([listed], older_than_s=500, dry=True)) == named
        assert orphan.path in place.names()
        assert sorted(store.sweep([listed], older_than_s=500)) == named
        assert sorted(place.names()) == sorted([listed.path, young.path, "results/note.txt"])


class TestCopies:
    """Of an object store: what was read once is read from this machine."""

    def test_a_part_is_fetched_once(
        self, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        part = ParquetResults(PartObjects(bucket.objects, None)).write(rows_of("a"))
        fetched: list[str] = []
        real = type(bucket.objects).fetch

        def counted(objects: Objects, name: str, path: Path) -> None:
            fetched.append(name)
            real(objects, name, path)

        monkeypatch.setattr(type(bucket.objects), "fetch", counted)
        for _ in range(2):  # two processes
            store = ParquetResults(PartObjects(bucket.objects, tmp_path / "copies"))
            for _ in range(2):
                assert store.read([part]) == rows_of("a")
        assert fetched == [part.path]
        unread = ParquetResults(PartObjects(bucket.objects, None))
        for _ in range(2):
            assert unread.read([part]) == rows_of("a")
        assert fetched == [part.path] * 3

    def test_a_damaged_copy_is_fetched_anew(self, bucket: Bucket, tmp_path: Path) -> None:
        store = ParquetResults(PartObjects(bucket.objects, tmp_path / "copies"))
        part = store.write(rows_of("a"))
        store.read([part])
        (copy,) = (tmp_path / "copies").iterdir()
        stat, data = copy.stat(), bytearray(copy.read_bytes())
        data[50] ^= 4
        copy.write_bytes(data)
        os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        again = ParquetResults(PartObjects(bucket.objects, tmp_path / "copies"))
        assert again.read([part]) == rows_of("a")

    def test_copies_are_bounded(
        self, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = ParquetResults(PartObjects(bucket.objects, tmp_path / "copies"))
        parts = [store.write(rows_of(n)) for n in range(3)]
        monkeypatch.setattr(part_files, "COPIES_BYTES", parts[0].size_bytes)
        monkeypatch.setattr(part_files, "IN_USE_S", 0.0)
        assert store.read(parts) == [row for n in range(3) for row in rows_of(n)]
        assert store.read(parts[:1]) == rows_of(0)  # was there: nothing is fetched, nothing goes
        assert len(list((tmp_path / "copies").iterdir())) == 3
        later = store.write(rows_of(9))
        assert store.read([later]) == rows_of(9)
        assert [path.name for path in (tmp_path / "copies").iterdir()] == [Path(later.path).name]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a directory: an object store has no disk that fills."""
    place = Folder(tmp_path / "store")
    store = ParquetResults(place.root)
    before = store.write(rows_of("a"))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            store.write(rows_of("b"))
    assert caught.value.errno == errno.ENOSPC
    assert place.names() == [before.path]


PREPARE = """
from orchestrator.model.result import ResultRow
from pathlib import Path
from orchestrator.store.objects import Objects
from orchestrator.store.part_files import PartObjects
from orchestrator.store.results import ParquetResults
rows = [ResultRow(trial="new", evaluation="test", seed=n, metric="m", value=0.5) for n in range(100)]
"""


@pytest.mark.slow
def test_killed_at_every_durable_step_a_part_is_whole_or_absent(tmp_path: Path) -> None:
    place = Folder(tmp_path / "store")
    store = ParquetResults(place.root)
    before = store.write(rows_of("old"))
    number = 1
    attempt = "ParquetResults(Path(store)).write(rows)"
    while killed_at(str(place.root), number, prepare=PREPARE, attempt=attempt):
        for path in (place.root / "results").glob("*.parquet"):
            assert pl.read_parquet(path).height in (3, 100)
        assert store.read([before]) == rows_of("old")
        number += 1
    assert number > 6, "it was killed at too few places to mean anything"
    store.sweep([before], older_than_s=0)
    assert place.names() == [before.path]


@pytest.mark.slow
def test_killed_at_every_request_a_part_is_whole_or_absent(bucket: Bucket) -> None:
    store = ParquetResults(PartObjects(bucket.objects, None))
    before = store.write(rows_of("old"))
    attempt = "ParquetResults(PartObjects(Objects(store), None)).write(rows)"
    number = killed_everywhere(bucket.objects.uri, prepare=PREPARE, attempt=attempt)
    assert number > 6, "it was killed at too few places to mean anything"
    left = set(bucket.names()) - {before.path}
    assert left
    assert all(pl.read_parquet(bucket.read(name)).height == 100 for name in left)
    assert {path for path, _ in store.sweep([before], older_than_s=0)} == left
    assert bucket.names() == [before.path]
    assert store.read([before]) == rows_of("old")
