"""A real S3 server on loopback (moto's), and places of stores that tests may harm: a folder or a bucket."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from orchestrator.store.objects import Objects

BUCKET = "studies"
# Answers to a line "PREFIX SECONDS" by making the objects whose names begin so that much older.
_SERVER = """
import datetime, sys
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
for line in sys.stdin:
    prefix, seconds = line.split()
    for account in s3_backends.values():
        for backend in account.values():
            for bucket in backend.buckets.values():
                for name, key in bucket.keys.items():
                    if name.startswith(prefix):
                        key.last_modified -= datetime.timedelta(seconds=float(seconds))
    print("done", flush=True)
"""


class Server:
    """The server's process, started by the first test that wants a bucket."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._numbers = itertools.count()
        self.environment: dict[str, str] = {}

    def uri(self) -> str:
        """Returns the URI of a new store."""
        if self._process is None:
            self._start()
        return f"s3://{BUCKET}/t{next(self._numbers)}/store"

    def age(self, prefix: str, seconds: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{prefix} {seconds}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, "the S3 server did not start"
        address = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": address,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDTEST",
            "AWS_SECRET_ACCESS_KEY": "canary-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        make = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
        urllib.request.urlopen(make, timeout=30).close()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    uri = s3_server.uri()
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return Bucket(Objects(uri), s3_server)


class Place(Protocol):
    """Where a store is, and what tests do to it behind its back; names are relative to the store."""

    def names(self, folder: str = "") -> list[str]:
        """Returns the files of a folder, at any depth."""
        ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, data: bytes) -> None: ...

    def remove(self, name: str) -> None: ...

    def age(self, name: str, seconds: float) -> None:
        """Makes a file, or a folder with all that is in it, older."""
        ...


@dataclass(frozen=True)
class Folder:
    root: Path

    def names(self, folder: str = "") -> list[str]:
        paths = (self.root / folder).rglob("*")
        return sorted(path.relative_to(self.root).as_posix() for path in paths if path.is_file())

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(data)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def age(self, name: str, seconds: float) -> None:
        path = self.root / name
        for each in [path, *path.rglob("*")]:
            os.utime(each, (time.time() - seconds,) * 2)


@dataclass(frozen=True)
class Bucket:
    objects: Objects
    server: Server

    def names(self, folder: str = "") -> list[str]:
        return [each.name for each in self.objects.found(folder)]

    def read(self, name: str) -> bytes:
        return self.objects.read(name)

    def write(self, name: str, data: bytes) -> None:
        self.objects.put(name, data)

    def remove(self, name: str) -> None:
        self.objects.delete([name])

    def age(self, name: str, seconds: float) -> None:
        prefix = self.objects.uri.removeprefix(f"s3://{BUCKET}/")
        self.server.age(f"{prefix}/{name}", seconds)
