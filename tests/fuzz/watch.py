"""What a command must not do while a bad file is refused: write, start, connect; or use too much."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_STARTS: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"}
)
_CONNECTS: Final = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request"})
_CHANGES: Final = frozenset(
    {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
)
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_seen: list[str] | None = None
_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "open":
        path, _, flags = arguments
        written = isinstance(flags, int) and flags & _WRITING
        # Modules that a command is the first to import are compiled; that is Python's, not ours.
        if written and isinstance(path, str) and "__pycache__" not in path and path != os.devnull:
            _seen.append(f"wrote {path}")
    elif event in _STARTS | _CONNECTS | _CHANGES and "__pycache__" not in str(arguments[:1]):
        _seen.append(f"{event} {arguments[:2]}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Yields what is written, started and connected to meanwhile, in words."""
    global _seen, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None


def most_memory() -> int:
    """Returns the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
