"""A rank other than 0, as a process: `ranks` starts it and tells it through its standard input what to do."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from io import FileIO
from pathlib import Path

import torch.distributed as dist

from workloads.api import Placement, from_plain
from workloads.collective import Group
from workloads.configs import TrainConfig
from workloads.placement import device_of, placed
from workloads.ranks import QUIT, READY, STEP, join, of_rank
from workloads.training import Training, load


def main() -> None:
    """Trains as one of the ranks that rank 0 has started, until told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # unbuffered: a thread that reads must hold no lock when the process ends
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    head = json.loads(source.readline())
    words: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, words), daemon=True).start()
    rank, seed = int(head["rank"]), int(head["seed"])
    everyone = from_plain(Placement, head["placement"])
    config, own = from_plain(TrainConfig, head["config"]), of_rank(everyone, rank)
    device, group = device_of(own), Group(rank=rank, size=len(everyone.devices))
    with placed(own):
        training = Training(config, seed, load(config, Path(head["data"]), device), device, group)
        if head["resume"] is not None:
            training.restore(Path(head["resume"]))
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    join(head["store"], everyone, rank=rank)
    with placed(own, training.apart(rank)):
        while words.get() == STEP:
            training.follow()
    dist.destroy_process_group()


def _listen(source: FileIO, words: queue.SimpleQueue[bytes]) -> None:
    """Hands on rank 0's words; where they end without a farewell, rank 0 is dead, and so is this process."""
    while word := source.read(1):
        words.put(word)
        if word == QUIT:
            return
    os._exit(1)


if __name__ == "__main__":
    main()
