"""How much memory this process has held."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Final

# Trials of one worker have equal provenance, which is recorded once: their memory must be equal, mostly.
STEP_MB: Final = 64


def held_mb() -> int | None:
    """Returns the most memory that this process held so far, in steps of 64 MiB, None where it is not known.

    A worker that is kept has held what its largest trial needed.
    """
    held = peak_mb()
    return None if held is None else STEP_MB * math.ceil(held / STEP_MB)


def peak_mb() -> float | None:
    """Returns the most memory that this process held so far, MiB, None where the system does not say."""
    try:
        # getrusage would count the parent's memory at the fork, too
        status = Path("/proc/self/status").read_text("ascii", errors="replace")
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(held / (2**20 if sys.platform == "darwin" else 2**10), 1)
