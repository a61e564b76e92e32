"""Backups: after a restore, the same tables, byte for byte; and nothing is ever written over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.backup import backup, drill, restore
from deploy.backup.copies import MANIFEST, BackupError, read_manifest
from orchestrator.settings import load_settings
from tests.contracts.object_server import BUCKET, Server, s3_server
from tests.contracts.storage_fixtures import Server as Postgres
from tests.contracts.storage_fixtures import postgres
from tests.recovery.invariants import assert_invariants, finished
from tests.recovery.small_study import OFTEN, STUDY, Undisturbed, undisturbed
from tests.street.orch import Orch

__all__ = ["postgres", "s3_server"]


@pytest.fixture(params=["file", "postgres", "bucket"])
def orch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Orch]:
    """The command line with a registry in a file or on Postgres, and a store in a folder or in a bucket."""
    found = Orch(directory=tmp_path, environment=dict(OFTEN))
    if request.param != "file":
        server: Postgres = request.getfixturevalue("postgres")
        url = found.environment["ORCH_REGISTRY_URL"] = server.database()
    if request.param == "bucket":
        objects: Server = request.getfixturevalue("s3_server")
        found.environment["ORCH_STORE"] = objects.uri()
        found.environment.update(objects.environment)
    yield found
    if request.param != "file":
        server.drop(url)


@pytest.fixture
def here(orch: Orch, monkeypatch: pytest.MonkeyPatch) -> Orch:
    """The same, with this process in its directory and environment."""
    for name, value in orch.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(orch.directory)
    return orch


@pytest.fixture
def scratch(request: pytest.FixtureRequest, orch: Orch) -> Iterator[str | None]:
    """An empty database, where the registry is on Postgres."""
    if "ORCH_REGISTRY_URL" not in orch.environment:
        yield None
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.empty()
    yield url
    server.drop(url)


def test_the_drill_finds_the_same_tables(
    here: Orch, scratch: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    here("submit", here.study(STUDY))
    arguments = ["--scratch-url", scratch] if scratch else []
    assert drill.main(arguments) == 0, capsys.readouterr().err
    assert "1 studies with the same tables: demo" in capsys.readouterr().out
    assert drill.main(arguments) == (1 if scratch else 0)  # a database that is not empty any more


@pytest.fixture(scope="module")
def whole() -> Undisturbed:
    """An undisturbed run, made before the environment names the registry of a test."""
    return undisturbed()


@pytest.mark.parametrize("orch", ["file", pytest.param("bucket", marks=pytest.mark.slow)], indirect=True)
def test_what_was_half_done_goes_on_from_a_backup(
    whole: Undisturbed, here: Orch, scratch: str | None, tmp_path: Path
) -> None:
    file = here.study(STUDY)
    here("submit", file, "--cells", "x=1")
    before = finished(here, "demo")
    made = backup.back_up(load_settings(), tmp_path / "backups")
    here("resume", "demo")  # what came after the backup is lost with the machine

    again = Orch(directory=tmp_path / "again", environment=dict(here.environment))
    again.directory.mkdir()
    again.environment["ORCH_STORE"] = str(again.directory / "store")
    if scratch:
        again.environment["ORCH_REGISTRY_URL"] = scratch
    arguments = [str(made), "--store", again.environment["ORCH_STORE"]]
    assert restore.main([*arguments, *(["--registry-url", scratch] if scratch else [])]) == 0
    restored = finished(again, "demo")
    assert {key: each["rows"] for key, each in restored.items()} == {
        key: each["rows"] for key, each in before.items()
    }
    again("submit", file)
    assert_invariants(again, "demo", whole.golden, before=restored)


@pytest.mark.parametrize("orch", ["file", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True)
def test_a_backup_goes_back_into_a_bucket(
    orch: Orch, s3_server: Server, scratch: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**orch.env, **s3_server.environment}.items():
        monkeypatch.setenv(name, value)
    orch("submit", orch.study(STUDY))
    expected = orch("table", "demo", "--format", "csv").out
    made = backup.back_up(load_settings(), tmp_path / "backups")
    url = scratch or f"sqlite:///{tmp_path / 'elsewhere' / 'registry.db'}"
    place = s3_server.uri()
    assert restore.main([str(made), "--store", place, "--registry-url", url]) == 0
    orch.environment.update({"ORCH_STORE": place, "ORCH_REGISTRY_URL": url, **s3_server.environment})
    assert orch("table", "demo", "--format", "csv").out == expected
    assert place.startswith(f"s3://{BUCKET}/")
    orch("fsck")


class Local:
    """Tests of one kind of registry are enough for what follows."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orch:
        found = Orch(directory=tmp_path, environment=dict(OFTEN))
        for name, value in found.env.items():
            monkeypatch.setenv(name, value)
        found("submit", found.study(STUDY))
        return found


class TestBackup(Local):
    def test_files_that_never_change_are_kept_once(self, store: Orch, tmp_path: Path) -> None:
        place = tmp_path / "backups"
        made = [backup.back_up(load_settings(), place, keep=2) for _ in range(3)]
        assert sorted(path for path in place.iterdir()) == made[1:]
        names = read_manifest(made[1]).files
        assert names.keys() == read_manifest(made[2]).files.keys()
        for name in names:
            shared = (made[1] / name).stat().st_ino == (made[2] / name).stat().st_ino
            assert shared == name.startswith(("store/results/", "store/checkpoints/", "store/code/")), name
        restore.restore(made[2], load_settings({"store": str(tmp_path / "new")}))  # the oldest is gone

    def test_only_whole_backups_count(
        self, store: Orch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = tmp_path / "backups"
        assert backup.main(["--to", str(place)]) == 0
        (made,) = place.iterdir()
        assert str(made) in capsys.readouterr().out
        with pytest.raises(BackupError, match="--keep"):
            backup.back_up(load_settings(), place, keep=0)
        shutil.rmtree(tmp_path / "store")
        with pytest.raises(BackupError, match="nothing was ever submitted"):
            backup.back_up(load_settings(), place)
        assert list(place.iterdir()) == [made]
        assert made.stat().st_mode & 0o077 == 0


class TestRestore(Local):
    @pytest.mark.parametrize("harm", ["flip", "cut", "lose", "leave"])
    def test_a_damaged_backup_is_refused_before_anything_is_written(
        self, harm: str, store: Orch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = backup.back_up(load_settings(), tmp_path / "backups")
        victim = next(made.glob("store/results/**/*.parquet"))
        content = bytearray(victim.read_bytes())
        if harm == "flip":
            content[len(content) // 2] ^= 1
            victim.write_bytes(content)
        elif harm == "cut":
            victim.write_bytes(content[:-1])
        elif harm == "lose":
            victim.unlink()
        else:
            manifest = json.loads((made / MANIFEST).read_text())
            manifest["files"]["../outside"] = {"size": 1, "sha256": "0"}
            (made / MANIFEST).write_text(json.dumps(manifest))
        new = tmp_path / "new"
        assert restore.main([str(made), "--store", str(new)]) == 1
        said = capsys.readouterr().err
        assert ("../outside" if harm == "leave" else victim.name) in said
        assert not new.exists()

    def test_nothing_is_written_over(
        self, store: Orch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = backup.back_up(load_settings(), tmp_path / "backups")
        before = store("table", "demo").out
        assert restore.main([str(made), "--store", str(tmp_path / "store")]) == 1
        assert "holds a registry already" in capsys.readouterr().err
        (tmp_path / "store" / "registry.db").unlink()
        assert restore.main([str(made), "--store", str(tmp_path / "store")]) == 1
        assert "not empty" in capsys.readouterr().err
        assert restore.main([str(tmp_path), "--store", str(tmp_path / "new")]) == 1
        assert "is no backup" in capsys.readouterr().err
        assert restore.main([str(made), "--store", str(tmp_path / "new")]) == 0
        store.environment["ORCH_STORE"] = str(tmp_path / "new")
        assert store("table", "demo").out == before

    def test_a_drill_notices_other_tables(
        self, store: Orch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = backup.back_up(load_settings(), tmp_path / "backups")
        store("submit", store.study(STUDY.replace("seeds: 2", "seeds: 3")))
        assert drill.main([str(made)]) == 1
        assert "the tables of demo differ" in capsys.readouterr().err
