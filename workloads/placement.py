"""Torch's global settings, changed for as long as our own code runs and then put back.

A workload is a generator: between two of its reports the caller's code runs in the same process, and
must find threads, determinism and the global random state as it left them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from workloads.api import Placement


def device_of(placement: Placement) -> torch.device:
    """Returns the first device, that of this process; `ranks.of_rank` gives each rank a placement of its own.

    Raises:
        ValueError: No device, or one that this machine does not have.
    """
    if not placement.devices:
        raise ValueError("devices: got none, allowed is at least one, such as 'cpu' or 'cuda:0'")
    device = torch.device(placement.devices[0])
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"devices: got {placement.devices[0]!r}, but this machine's torch sees no CUDA device"
        )
    return device


def device_memory_mb(device: torch.device) -> int:
    """Returns the most memory that this process held of a CUDA device so far, in steps of 64 MiB."""
    return 64 * -(-torch.cuda.max_memory_reserved(device) // (64 * 2**20))


def deterministically(on: bool) -> None:
    """Does what `torch.use_deterministic_algorithms` does; does not load torch's compiler for it.

    That function also tells the compiler, for which it imports it: 2 s of each process, mostly for nothing.
    `faster.compiled` tells it when it is needed.
    """
    if "torch._inductor" in sys.modules:
        torch.use_deterministic_algorithms(on)
    else:
        torch._C._set_deterministic_algorithms(on, warn_only=False)


@contextmanager
def placed(placement: Placement, random: torch.Generator | None = None) -> Iterator[None]:
    """Runs its body under a placement, with deterministic algorithms.

    Args:
        placement: Threads, device and memory share.
        random: Stands in for torch's global generator and advances with it; None leaves that as it is.
    """
    device = device_of(placement)
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    benchmark = torch.backends.cudnn.benchmark
    outer = torch.get_rng_state()
    outer_cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    if device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace, read when its handle is made
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if placement.memory_fraction is not None:
            torch.cuda.set_per_process_memory_fraction(placement.memory_fraction, device)
    try:
        torch.set_num_threads(placement.threads)
        deterministically(True)
        # no code here reads memory before writing it, and filling it costs a pass over each tensor
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False
        if random is not None:
            torch.set_rng_state(random.get_state())
        # torch lets convolutions round to TF32 unasked; a training that wants it says so (`TrainConfig.tf32`)
        with tensor_cores(False):
            yield
        if random is not None:
            random.set_state(torch.get_rng_state())
    finally:
        torch.set_rng_state(outer)
        if outer_cuda is not None:
            torch.cuda.set_rng_state(outer_cuda, device)
        torch.backends.cudnn.benchmark = benchmark
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        deterministically(deterministic)
        torch.set_num_threads(threads)


@contextmanager
def tensor_cores(allowed: bool) -> Iterator[None]:
    """Lets products of float32 be computed in TF32 on a GPU, or not, inside its body."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
