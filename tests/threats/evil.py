"""An object that runs code when it is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MARKER = Path()


def touch(path: str) -> int:
    """Leaves a trace."""
    Path(path).write_text("run")
    return 0


class Evil:
    """What it is unpickled as does not matter."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return touch, (str(MARKER),)
