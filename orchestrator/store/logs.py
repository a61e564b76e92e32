"""Logs of trials: files in a store's folder, or files of the worker's machine, uploaded as they grow."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from orchestrator.errors import OrchError
from orchestrator.ports import LogStore
from orchestrator.store import scratch
from orchestrator.store.objects import Objects

FOLDER = "logs"
UPLOAD_S = 10.0  # a log that has grown is uploaded so often while its trial runs


@final
@dataclass(frozen=True, slots=True)
class DirectoryLogs:
    """Logs under a store's root.

    Attributes:
        root: The store's root; a path that every worker sees.
    """

    root: Path

    def open(self, name: str) -> Path:
        """Returns the log's own file, in a folder that exists."""
        path = self.root / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def close(self, name: str) -> None:
        """Does nothing: what is written is there."""

    def place(self, name: str) -> str:
        """Returns the path of the log."""
        return str(self.root / FOLDER / name)

    def read(self, name: str) -> str | None:
        """Returns what was written, or None."""
        try:
            return (self.root / FOLDER / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None


@final
@dataclass(frozen=True, slots=True)
class ObjectLogs:
    """Logs under a URI; picklable.

    Attributes:
        objects: The store.
    """

    objects: Objects

    def open(self, name: str) -> Path:
        """Returns a file of this machine, uploaded every ten seconds while it grows, and by `close`."""
        folder = scratch.new_folder()
        path = folder / name
        # An attempt on another machine may have begun the log.
        with suppress(FileNotFoundError, OrchError):
            self.objects.fetch(f"{FOLDER}/{name}", path)
        upload = _Upload(self.objects, folder)
        if (before := _open.pop((self.objects.uri, name), None)) is not None:
            before.end()
        _open[self.objects.uri, name] = upload
        upload.thread.start()
        return path

    def close(self, name: str) -> None:
        """Uploads what was written; a store that cannot be reached costs the log its end, no more."""
        if (upload := _open.pop((self.objects.uri, name), None)) is not None:
            upload.end()

    def place(self, name: str) -> str:
        """Returns the address of the log."""
        return f"{self.objects.uri.partition('?')[0]}/{FOLDER}/{name}"

    def read(self, name: str) -> str | None:
        """Returns what was uploaded, or None.

        Raises:
            TargetError: The store cannot be reached.
        """
        try:
            return self.objects.read(f"{FOLDER}/{name}").decode(errors="replace")
        except FileNotFoundError:
            return None


@dataclass(slots=True)
class _Upload:
    """The files of one open log, and the thread that uploads them."""

    objects: Objects
    folder: Path
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(init=False)
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="orch-log", daemon=True)
        self.sent = self._state()  # what was fetched is there already

    def end(self) -> None:
        self.ended.set()
        self.thread.join()
        scratch.discard(self.folder)

    def _run(self) -> None:
        while not self.ended.wait(UPLOAD_S):
            self._send()
        self._send()

    def _send(self) -> None:
        for name, state in self._state().items():
            if self.sent.get(name) != state:
                # The same as for a full disk: a log must not end a training.
                with suppress(OSError, OrchError):
                    self.objects.put_file(f"{FOLDER}/{name}", self.folder / name)
                    self.sent[name] = state

    def _state(self) -> dict[str, tuple[int, int]]:
        """Returns file -> when it was last written, and its size; an older half of a log is a file too."""
        found = {}
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                stat = path.stat()
                found[path.name] = (stat.st_mtime_ns, stat.st_size)
        return found


_open: dict[tuple[str, str], _Upload] = {}  # by store and name, of this process

_: tuple[type[LogStore], ...] = (DirectoryLogs, ObjectLogs)
