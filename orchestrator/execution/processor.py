"""Which processor and GPUs these are: other kinds may add in another order, and come to other last bits."""

from __future__ import annotations

import functools
import platform
import sys
from collections.abc import Sequence
from pathlib import Path


@functools.cache
def processor() -> str:
    """Returns the processor's name as its maker gives it, or the name of its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")} - {""}
    return " and ".join(sorted(names)) or platform.processor() or platform.machine()


def gpus(devices: Sequence[str]) -> str:
    """Returns the names of those of torch's devices that are GPUs, "" without one or without torch."""
    torch = sys.modules.get("torch")
    names = [torch.cuda.get_device_name(each) for each in devices if torch and each.startswith("cuda")]
    return " and ".join(sorted(set(names)))
