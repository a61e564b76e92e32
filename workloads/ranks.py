"""Local ranks: the processes that train one network together on several devices of one machine.

Rank 0 is the calling process. It starts the others with `python -m workloads.rank`, tells them through their
standard input what to do, and joins them in torch's default process group for the sums of `collective`. A
rank ends when its input does: it outlives neither rank 0's training nor rank 0's death, of whatever kind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, final

import torch
import torch.distributed as dist

from workloads.api import Placement, to_plain
from workloads.collective import Group
from workloads.configs import TrainConfig
from workloads.ghost import chunk_sizes
from workloads.placement import device_of

STEP, QUIT, READY = b"s", b"q", b"ready\n"
# Ranks wait for each other within a step only: whoever asks rank 0 for the next report may take any time.
_TIMEOUT: Final = timedelta(minutes=5)
_GRACE_S: Final = 5.0


def check(config: TrainConfig, placement: Placement) -> None:
    """Checks that a training can be shared among the devices of a placement.

    Raises:
        ValueError: A device that is not there, or more devices than a mini-batch has parts.
    """
    ranks = len(placement.devices)
    for number in range(ranks):
        device_of(of_rank(placement, number))
    parts = (
        config.batch_size
        if config.ghost_batch is None
        else len(chunk_sizes(config.batch_size, config.ghost_batch))
    )
    if ranks > parts:
        what = f"chunks of {config.ghost_batch} images (ghost_batch)" if config.ghost_batch else "images"
        raise ValueError(
            f"devices: got {ranks} for one training whose mini-batch has {parts} {what}; allowed are at most "
            f"{parts}: give it fewer devices, larger mini-batches or smaller chunks"
        )


def of_rank(placement: Placement, rank: int) -> Placement:
    """Returns the placement of one rank: its device, and its part of the threads."""
    threads = max(1, placement.threads // max(1, len(placement.devices)))
    return replace(placement, devices=placement.devices[rank : rank + 1], threads=threads)


@contextmanager
def together(
    config: TrainConfig, *, seed: int, data: Path, resume: Path | None, placement: Placement
) -> Iterator[Group | None]:
    """Runs its body as rank 0 of a training's ranks, which all end with it; yields None for one device.

    Args:
        config: Canonical configuration.
        seed: Of the training.
        data: Directory of the data sets.
        resume: Checkpoint that the training continues from.
        placement: One device for each rank.

    Raises:
        RuntimeError: A rank ended early, or this process is in a process group of its own already.
    """
    size = len(placement.devices)
    if size == 1:
        yield None
        return
    if dist.is_initialized():
        raise RuntimeError(
            f"devices: got {size} for one training in a process that has a torch process group already; "
            "allowed is one device there"
        )
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        head = {
            "config": to_plain(config),
            "seed": seed,
            "data": str(data),
            "resume": None if resume is None else str(resume),
            "placement": to_plain(placement),
            "store": str(Path(folder) / "store"),
        }
        others = _Others(head, placement)
        try:
            others.start()
            yield Group(rank=0, size=size, call=others.step)
        except (RuntimeError, BrokenPipeError) as fault:
            ended = others.ended()
            if not ended:
                raise
            raise RuntimeError(f"{ended}: what it wrote on its standard error says why") from fault
        finally:
            others.close()


@final
class _Others:
    """The ranks but 0, as rank 0 sees them."""

    def __init__(self, head: Mapping[str, Any], placement: Placement) -> None:
        self._head, self._placement = head, placement
        self._processes: list[subprocess.Popen[bytes]] = []
        self._joined = False

    def start(self) -> None:
        """Starts the processes; they load the data while rank 0 does."""
        for rank in range(1, len(self._placement.devices)):
            process = subprocess.Popen(
                [sys.executable, "-m", "workloads.rank"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
                start_new_session=True,  # a signal to the terminal's group is rank 0's to answer
            )
            self._processes.append(process)
            _write(process, json.dumps({**self._head, "rank": rank}).encode() + b"\n")

    def step(self) -> None:
        """Makes every process learn from the next mini-batch; the first time they are waited for."""
        if not self._joined:
            for each in self._processes:
                assert each.stdout is not None
                if each.stdout.readline() != READY:
                    raise RuntimeError("a rank did not begin")
            join(self._head["store"], self._placement, rank=0)
            self._joined = True
        for each in self._processes:
            _write(each, STEP)

    def ended(self) -> str:
        """Returns which ranks have ended by themselves and how, as text; empty if none."""
        deadline = time.monotonic() + _GRACE_S
        while not any(each.poll() is not None for each in self._processes) and time.monotonic() < deadline:
            time.sleep(0.01)  # the others hear of a death before its parent may
        codes = {rank: each.poll() for rank, each in enumerate(self._processes, start=1)}
        return ", ".join(
            f"rank {rank} ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
            for rank, code in codes.items()
            if code is not None
        )

    def close(self) -> None:
        """Ends every process, and this process's part in the group."""
        for each in self._processes:
            with suppress(BrokenPipeError):  # it has ended
                _write(each, QUIT)
            assert each.stdin is not None
            with suppress(BrokenPipeError):
                each.stdin.close()
        for each in self._processes:
            try:
                each.wait(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
            assert each.stdout is not None
            each.stdout.close()
        if self._joined:
            dist.destroy_process_group()


def _write(process: subprocess.Popen[bytes], words: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(words)
    process.stdin.flush()


def join(store: str, placement: Placement, *, rank: int) -> None:
    """Makes this process a rank of torch's default process group.

    Args:
        store: Path of a file that the ranks meet at.
        placement: One device for each rank.
        rank: Of this process.
    """
    size = len(placement.devices)
    kinds = {torch.device(name).type for name in placement.devices}
    each_its_own = kinds == {"cuda"} and len(set(placement.devices)) == size
    outer = os.environ.get("GLOO_SOCKET_IFNAME")
    if sys.platform == "linux" and outer is None:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # ranks are on one machine, whatever its name resolves to
    try:
        dist.init_process_group(
            "nccl" if each_its_own else "gloo",
            init_method=f"file://{store}",
            rank=rank,
            world_size=size,
            timeout=_TIMEOUT,
        )
    finally:
        if outer is None:
            os.environ.pop("GLOO_SOCKET_IFNAME", None)
