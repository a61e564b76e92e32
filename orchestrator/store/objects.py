"""Objects under a URI: the few things that a store asks of S3 and its like.

An object appears whole or not at all, is never renamed, and is seen by everybody as soon as it is written. A
crash in mid-upload leaves nothing that a listing shows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, final
from urllib.parse import parse_qsl, urlsplit

from orchestrator.errors import TargetError
from orchestrator.model.place import masked

# An unreachable server is told within a minute: every request is tried so often, and waits so long.
ATTEMPTS = 3
CONNECT_S = 5
SILENCE_S = 10
_BLOCK_BYTES = 8 * 2**20
_AT_ONCE = 4
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_HINTS = {
    "NETWORK_CONNECTION": "see whether the network is up and AWS_ENDPOINT_URL names the right server",
    "NO_SUCH_BUCKET": "make the bucket, or name another with --store",
    "ACCESS_DENIED": "the credentials do not allow it: AWS_ACCESS_KEY_ID, AWS_PROFILE or ~/.aws/credentials",
    "INVALID_ACCESS_KEY_ID": "the credentials are not known there: AWS_ACCESS_KEY_ID or ~/.aws/credentials",
    "SIGNATURE": "the credentials are wrong: AWS_SECRET_ACCESS_KEY or ~/.aws/credentials",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object that a listing shows.

    Attributes:
        name: Relative to the store.
        size: Bytes.
        changed_ns: When it was written, since the epoch on the server's clock.
    """

    name: str
    size: int
    changed_ns: int

    def older_than(self, seconds: float) -> bool:
        """Returns whether it was written longer ago than that."""
        return time.time() - self.changed_ns / 1e9 >= seconds


@final
@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of a store, by names with slashes. Picklable: credentials stay in each process's environment.

    Every method raises TargetError when the server cannot be reached or refuses.

    Attributes:
        uri: The store, "s3://bucket/prefix" or another that pyarrow knows.
    """

    uri: str

    def put(self, name: str, data: bytes) -> None:
        """Writes an object."""
        with self._told("write", name):
            self._write(name, [data])

    def put_file(self, name: str, path: Path) -> None:
        """Writes an object with the content of a file."""
        with self._told("write", name), path.open("rb", buffering=0) as file:
            self._write(name, iter(lambda: file.read(_BLOCK_BYTES), b""))

    def put_files(self, files: Mapping[str, Path]) -> None:
        """Writes objects, several at once; returns when all are written."""
        _together([partial(self.put_file, name, path) for name, path in files.items()])

    def read(self, name: str) -> bytes:
        """Returns the content of an object.

        Raises:
            FileNotFoundError: There is none.
        """
        system, root = self._open()
        with self._told("read", name), system.open_input_stream(f"{root}/{name}") as stream:
            return bytes(stream.read())

    def fetch(self, name: str, path: Path) -> None:
        """Writes the content of an object into a new file.

        Raises:
            FileNotFoundError: There is none.
        """
        system, root = self._open()
        with (
            self._told("read", name),
            system.open_input_stream(f"{root}/{name}") as stream,
            path.open("xb", buffering=0) as file,
        ):
            while block := stream.read(_BLOCK_BYTES):
                file.write(block)

    def fetch_all(self, files: Mapping[str, Path]) -> None:
        """Writes the contents of objects into new files, several at once; missing ones are left out.

        Args:
            files: Name -> new file, in a folder that exists.
        """

        def one(name: str, path: Path) -> None:
            with suppress(FileNotFoundError):
                self.fetch(name, path)

        _together([partial(one, name, path) for name, path in files.items()])

    def found(self, folder: str) -> list[Found]:
        """Returns the objects whose names begin with "folder/", by name; all of the store's for ""."""
        from pyarrow.fs import FileSelector, FileType

        system, root = self._open()
        with self._told("list", folder):
            infos = system.get_file_info(
                FileSelector(f"{root}/{folder}".rstrip("/"), allow_not_found=True, recursive=True)
            )
        return sorted(
            (
                Found(name=info.path.removeprefix(f"{root}/"), size=info.size, changed_ns=info.mtime_ns)
                for info in infos
                if info.type == FileType.File
            ),
            key=lambda each: each.name,
        )

    def copy(self, names: Mapping[str, str]) -> None:
        """Copies objects on the server; those that are missing are left out.

        Args:
            names: From -> to.
        """
        system, root = self._open()
        for source, target in names.items():
            with self._told("copy", source), suppress(FileNotFoundError):
                self._make_parent(target)
                system.copy_file(f"{root}/{source}", f"{root}/{target}")

    def delete(self, names: Collection[str]) -> None:
        """Deletes objects; nothing happens to those that are gone."""
        system, root = self._open()
        for name in names:
            with self._told("delete", name), suppress(FileNotFoundError):
                system.delete_file(f"{root}/{name}")

    def delete_folder(self, folder: str) -> None:
        """Deletes all objects whose names begin with "folder/", in no order."""
        system, root = self._open()
        with self._told("delete", folder), suppress(FileNotFoundError):
            system.delete_dir(f"{root}/{folder}")

    def require(self) -> None:
        """Checks that the bucket is there and answers."""
        self._open()

    # --- within -------------------------------------------------------------------------------------------

    def _open(self) -> tuple[Any, str]:
        with self._told("open", ""):
            return _file_system(self.uri, _environment(_ENDPOINTS), _environment(_REGIONS), os.getpid())

    def _write(self, name: str, blocks: Sequence[bytes] | Iterator[bytes]) -> None:
        system, root = self._open()
        self._make_parent(name)
        with system.open_output_stream(f"{root}/{name}") as stream:
            for block in blocks:
                stream.write(block)

    def _make_parent(self, name: str) -> None:
        system, root = self._open()
        if system.type_name not in ("s3", "gcs"):  # those have no directories
            system.create_dir(f"{root}/{name}".rpartition("/")[0], recursive=True)

    @contextmanager
    def _told(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno is not None:  # of this machine's disk, or a missing object
                raise
            raise _unreachable(self.uri, what, name, error) from None


@cache
def _file_system(uri: str, endpoint: str, region: str, pid: int) -> tuple[Any, str]:
    """Returns an open file system and the path of the store in it; a process asks once for the bucket."""
    from pyarrow import fs

    parts = urlsplit(uri)
    if parts.scheme == "s3":
        system, root = _s3(uri, endpoint, region), f"{parts.netloc}{parts.path}"
    else:
        try:
            system, root = fs.FileSystem.from_uri(uri)
        except (ValueError, NotImplementedError) as error:  # pyarrow's own errors are such
            raise TargetError(f"the store {masked(uri)} cannot be used: {error}") from None
    # Listings of a bucket that does not exist are empty: that must not read as results that are lost.
    if parts.scheme == "s3" and system.get_file_info(parts.netloc).type == fs.FileType.NotFound:
        raise OSError("AWS Error NO_SUCH_BUCKET: there is no such bucket")
    return system, root.rstrip("/")


def _s3(uri: str, endpoint: str, region: str) -> Any:
    from pyarrow import fs

    parts = urlsplit(uri)
    options = dict(parse_qsl(parts.query))
    endpoint = options.get("endpoint_override") or endpoint
    region = options.get("region") or region
    if not region:
        # Servers other than Amazon's take any; at Amazon the bucket knows its own.
        region = "us-east-1" if endpoint else fs.resolve_s3_region(parts.netloc)
    scheme = options.get("scheme") or ("http" if endpoint.startswith("http://") else "https")
    return fs.S3FileSystem(
        region=region,
        endpoint_override=endpoint or None,
        scheme=scheme,
        connect_timeout=CONNECT_S,
        request_timeout=SILENCE_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        # One request for a small object instead of three.
        allow_delayed_open=True,
        background_writes=False,
    )


def _environment(names: Sequence[str]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _unreachable(uri: str, what: str, name: str, error: OSError) -> TargetError:
    text = " ".join(str(error).split())
    hint = next((hint for key, hint in _HINTS.items() if key in text), "")
    place = f" {name}" if name else ""
    return TargetError(
        f"the store {masked(uri)} (bucket {urlsplit(uri).netloc}): cannot {what}{place}: {masked(text)}"
        + (f"; {hint}" if hint else "")
    )


def _together(calls: Sequence[Callable[[], None]]) -> None:
    """Makes calls, a few at once; raises the first error after all have ended."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
