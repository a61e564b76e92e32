"""How many trials run at once on this machine, by its processors and by the memory that trials have held."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.model.forecast import Past

PAST: Final = 2_000  # the newest trials count
SHARE: Final = 0.9  # of the memory; the rest is the system's and the driver's
PARTS: Final = (1, 2, 3, 4, 5, 8, 10, 16)  # of a GPU, each a decimal that people write


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is to share out.

    Attributes:
        cpus: Processors that may be used.
        memory_mb: Of the machine, None where the system does not say.
        gpus_mb: Memory of each GPU.
    """

    cpus: int
    memory_mb: float | None
    gpus_mb: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How many trials run at once, and why.

    Attributes:
        at_once: Trials of one processor each.
        by_memory: Whether memory allows fewer than processors do.
        why: In words.
        gpu: The same for each GPU, in words; "" without one.
    """

    at_once: int
    by_memory: bool
    why: str
    gpu: str = ""


def packing(machine: Machine, past: Sequence[Past]) -> Packing:
    """Returns how trials share a machine.

    Args:
        machine: What there is.
        past: What trials took and held, newest first.
    """
    held = [each.memory_mb for each in past if each.memory_mb]
    room = machine.cpus
    said = f"{machine.cpus} processors, one thread a trial"
    fits = None
    if held and machine.memory_mb is not None:
        fits = max(1, int(SHARE * machine.memory_mb / max(held)))
        took = statistics.median(each.seconds for each in past)
        said += (
            f"; the largest worker of {len(held)} trials held {_gb(max(held))} of {_gb(machine.memory_mb)}, "
            f"so that memory has room for {fits}; half of them took {took:.3g} s or less"
        )
        room = min(room, fits)
    elif machine.memory_mb is not None:
        said += "; what a trial holds is known once some have run"
    return Packing(
        at_once=max(1, room),
        by_memory=fits is not None and fits < machine.cpus,
        why=f"{max(1, room)} trials at once: {said}",
        gpu=_gpu(machine, past),
    )


def _gpu(machine: Machine, past: Sequence[Past]) -> str:
    if not machine.gpus_mb:
        return ""
    least = min(machine.gpus_mb)
    held = [each.device_memory_mb for each in past if each.device_memory_mb]
    if not held:
        return f"{len(machine.gpus_mb)} GPUs of {_gb(least)}; what a trial holds is known once some have run"
    fits = max(part for part in PARTS if part <= max(1, int(SHARE * least / max(held))))
    share = "resources: {gpu: 1}" if fits == 1 else f"resources: {{gpu: {1 / fits:.3g}}}"
    return (
        f"{fits} trials a GPU ({share}): the largest of {len(held)} held {_gb(max(held))} of {_gb(least)}; "
        "`python -m benchmarks.gpu` measures how many pay"
    )


def _gb(megabytes: float) -> str:
    return f"{megabytes / 1024:.2g} GiB"


def this_machine() -> Machine:
    """Returns what this machine has."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cpus = os.cpu_count() or 1
    try:
        memory_mb: float | None = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    except (AttributeError, OSError, ValueError):
        memory_mb = None
    return Machine(cpus=cpus, memory_mb=memory_mb, gpus_mb=_gpus_mb())


def _gpus_mb() -> tuple[float, ...]:
    from orchestrator.execution.inline import visible_gpus

    if not visible_gpus():
        return ()
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return tuple(float(line) for line in done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
