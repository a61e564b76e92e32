"""A study whose store is a bucket, as a user meets it: the same tables, damage mended, clear refusals."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestrator.store import logs, objects
from tests.contracts.object_server import BUCKET, Bucket, bucket, s3_server
from tests.street.orch import Orch, until
from tests.street.test_upkeep import STUDY, tables

__all__ = ["bucket", "s3_server"]


def in_bucket(directory: Path, bucket: Bucket, **environment: str) -> Orch:
    store = {"ORCH_STORE": bucket.objects.uri, "ORCH_REGISTRY_URL": f"sqlite:///{directory}/registry.db"}
    return Orch(directory=directory, environment={**store, **environment})


@pytest.fixture
def orch(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Orch:
    monkeypatch.setattr(
        "tempfile.tempdir", str(tmp_path)
    )  # commands run in this process, which knows its own
    found = in_bucket(tmp_path, bucket)
    found("submit", found.study(STUDY))
    return found


def flip(bucket: Bucket, name: str, at: int = 40) -> None:
    """Changes one bit of an object."""
    data = bytearray(bucket.read(name))
    data[at] ^= 1
    bucket.age(name, 1000)
    bucket.write(name, bytes(data))


def parts(bucket: Bucket) -> list[str]:
    return bucket.names("results")


def a_file(bucket: Bucket) -> str:
    """Returns a file of some checkpoint."""
    return next(name for name in bucket.names("checkpoints") if not name.endswith("digests.json"))


def test_the_tables_are_those_of_a_directory(orch: Orch, bucket: Bucket, tmp_path: Path) -> None:
    (scratch,) = [path for path in tmp_path.glob("orch-*/*") if path.is_dir()]
    assert list(scratch.iterdir()) == []  # nothing that was downloaded is left
    (tmp_path / "local").mkdir()
    local = Orch(directory=tmp_path / "local")
    local("submit", local.study(STUDY))
    assert tables(orch) == tables(local)
    assert {name.split("/")[0] for name in bucket.names()} == {"results", "checkpoints", "logs", "code"}
    assert not (tmp_path / "store").exists()
    everywhere = [
        *map(bucket.read, bucket.names()),
        *(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()),
    ]
    assert not any(b"canary-secret" in content for content in everywhere)
    found = orch("--json", "fsck").json
    assert (found["parts"] > 0, found["checkpoints"], found["damage"]) == (True, 6, [])
    assert orch("gc").out.startswith("0 things")
    (registry_copies,) = (tmp_path / ".local" / "state" / "orch" / "stores").glob("*/backups")
    assert len(list(registry_copies.iterdir())) == 1


def test_what_workers_wrote_is_read_from_the_bucket(orch: Orch, bucket: Bucket) -> None:
    key = orch("--json", "show", "demo").json["trials"][0]["trial"]
    shown = orch("--json", "show", key).json
    assert shown["log"] == f"{bucket.objects.uri}/logs/{key}.log"
    said = orch("--json", "logs", key).json
    assert any("started, epoch 1" in line for line in said["lines"])
    assert orch("logs", key, "--tail", "1").out == said["lines"][-1] + "\n"
    checks = {each["name"]: each for each in orch("--json", "doctor").json["checks"]}
    assert checks["store"]["text"].startswith(f"{bucket.objects.uri}, 1 studies")


def test_a_log_is_uploaded_while_its_trial_runs(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "UPLOAD_S", 0.05)
    kept = logs.ObjectLogs(bucket.objects)
    path = kept.open("a.log")
    assert kept.read("a.log") is None
    with path.open("a") as file:
        file.write("first\n")
        file.flush()
        until(lambda: kept.read("a.log") == "first\n", what="the first line in the bucket")
        file.write("second\n")
    path.with_suffix(".log.1").write_text("older")
    kept.close("a.log")
    assert kept.read("a.log") == "first\nsecond\n"
    assert kept.read("a.log.1") == "older"
    assert not path.exists()
    # another attempt, on another machine, goes on where the first one ended
    again = kept.open("a.log")
    assert again.read_text() == "first\nsecond\n"
    with again.open("a") as file:
        file.write("third\n")
    kept.close("a.log")
    assert kept.read("a.log") == "first\nsecond\nthird\n"


def test_a_damaged_part_is_named_and_its_trials_are_computed_again(
    orch: Orch, bucket: Bucket, tmp_path: Path
) -> None:
    before = tables(orch)
    for name in parts(bucket):
        flip(bucket, name)
    assert "orch fsck" in orch("table", "demo", "errors", code=6).err
    found = orch("--json", "fsck", code=6).json
    assert {each["place"] for each in found["damage"]} == set(parts(bucket))
    assert "18 trials wait to be computed again" in orch("fsck", "--repair").out
    trained = (tmp_path / "trace.txt").read_text()
    assert orch("--json", "resume", "demo").json["counts"]["succeeded"] == 18
    assert tables(orch) == before
    # the checkpoints hold the histories: no step was trained twice
    assert (tmp_path / "trace.txt").read_text() == trained
    assert orch("--json", "fsck").json["damage"] == []


def test_a_damaged_checkpoint_is_forgotten_and_made_again(orch: Orch, bucket: Bucket) -> None:
    before = tables(orch)
    harmed = a_file(bucket)
    flip(bucket, harmed, at=0)
    (damage,) = orch("--json", "fsck", code=6).json["damage"]
    assert (damage["kind"], damage["place"]) == ("checkpoint", harmed.rpartition("/")[0])
    assert orch("--json", "fsck", "--repair").json["repaired"]["forgotten"] == 1
    assert harmed not in bucket.names()
    assert any("/corrupt-" in name for name in bucket.names())
    assert tables(orch) == before
    # an evaluation that is new needs the parent's checkpoint, which is made again
    finished = orch("--json", "submit", orch.study(STUDY.replace("levels: [2, 3]", "levels: [2, 3, 5]"))).json
    assert finished["counts"]["succeeded"] == 6 + 18
    assert orch("--json", "fsck").json["damage"] == []


def test_compaction_changes_no_number(orch: Orch, bucket: Bucket) -> None:
    orch("submit", orch.study(STUDY.replace("levels: [1, 2]", "levels: [1, 2, 4]")))
    before, old = tables(orch), parts(bucket)
    assert len(old) > 1
    assert orch("--json", "compact").json["after"] == 1
    assert tables(orch) == before
    strays = orch("--json", "gc", "--grace", "0", "--delete").json["strays"]
    assert sorted(each["path"] for each in strays) == old
    assert len(parts(bucket)) == 1
    assert tables(orch) == before


def test_a_registry_is_asked_for(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path, environment={"ORCH_STORE": "s3://some-bucket/here"})
    said = orch("submit", orch.study(STUDY), code=2).err
    assert 'registry_url = "postgresql://' in said
    assert {path.name for path in tmp_path.iterdir()} == {"study.yaml"}


@pytest.mark.parametrize(
    "uri",
    [
        "s3://KEYKEY:canary-secret@some-bucket/here",
        "s3://some-bucket/here?access_key=KEYKEY&secret_key=canary-secret",
    ],
)
def test_credentials_in_the_address_are_refused_and_not_shown(tmp_path: Path, uri: str) -> None:
    orch = Orch(directory=tmp_path)
    done = orch("--store", uri, "list", code=2)
    assert "holds no credentials" in done.err
    assert "***" in done.err
    assert "canary" not in done.out + done.err
    assert "KEYKEY" not in done.out + done.err


def test_a_bucket_that_does_not_exist_loses_nothing(orch: Orch, tmp_path: Path) -> None:
    """A listing of no bucket is empty: that must not read as results that are gone."""
    before = tables(orch)
    elsewhere = Orch(directory=tmp_path, environment={**orch.environment, "ORCH_STORE": "s3://no-such/store"})
    for verb in (("fsck", "--repair"), ("table", "demo"), ("resume", "demo"), ("gc", "--delete")):
        said = " ".join(elsewhere(*verb, code=5).err.split())
        assert "bucket no-such" in said
    assert "make the bucket" in said
    assert elsewhere("--json", "doctor", code=1).json
    assert tables(orch) == before


def test_a_server_that_does_not_answer_is_told(
    orch: Orch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    away = Orch(directory=tmp_path, environment={**orch.environment, "AWS_ENDPOINT_URL": address})
    said = " ".join(away("submit", tmp_path / "study.yaml", code=5).err.split())
    assert f"bucket {BUCKET}" in said
    assert "AWS_ENDPOINT_URL" in said


@pytest.mark.parametrize(
    "what", ["digests.json", pytest.param(".parquet", marks=pytest.mark.slow)]
)  # of a worker, of the driver
def test_a_server_that_goes_away_stops_the_driver_and_is_charged_to_no_trial(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    orch = in_bucket(tmp_path, bucket)
    real, calls = objects.Objects.put, [0]

    def away(self: objects.Objects, name: str, data: bytes) -> None:
        calls[0] += name.endswith(what)
        if calls[0] >= 3:
            raise objects._unreachable(self.uri, "write", name, OSError("NETWORK_CONNECTION"))
        real(self, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(objects.Objects, "put", away)
        stopped = orch("submit", orch.study(STUDY), code=5)
    assert f"bucket {BUCKET}" in " ".join((stopped.out + stopped.err).split())
    assert "orch resume demo" in stopped.out + stopped.err
    finished = orch("--json", "resume", "demo").json
    assert finished["counts"]["succeeded"] == 18
    attempts = [
        orch("--json", "show", each["trial"]).json["attempts"]
        for each in orch("--json", "show", "demo").json["trials"]
    ]
    assert {len(each) for each in attempts} == {1, 2}
    assert orch("--json", "fsck").json["damage"] == []


@pytest.mark.slow
def test_a_server_that_says_nothing_is_told_within_a_minute(
    orch: Orch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence_s = objects.SILENCE_S
    monkeypatch.setattr(objects, "SILENCE_S", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        away = Orch(directory=tmp_path, environment={**orch.environment, "AWS_ENDPOINT_URL": address})
        assert "timed out" in away("table", "demo", code=5).err.replace("Timeout was reached", "timed out")
    # three tries of a request, and pauses between them
    assert (objects.CONNECT_S + silence_s) * objects.ATTEMPTS < 60
