"""How long a step of several seeds takes as one network and one after another, on the very device."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch

from workloads.api import Placement
from workloads.configs import TrainConfig, canonical
from workloads.fused_training import FusedTraining
from workloads.placement import device_of, placed
from workloads.schedules import Length
from workloads.training import Training, load

# Steps measured after the first; few on a CPU, where trainings are short and steps take alike.
_STEPS: Final = MappingProxyType({"cpu": 2})
# Trying four seeds costs fifteen steps of one on a CPU: of trainings of fewer than so many that is too much.
LEAST_STEPS: Final = 100


def try_fused(config: TrainConfig, replicas: int, data: Path, placement: Placement) -> dict[str, Any]:
    """Returns {"alone_ms", "together_ms"}: the quickest step of one seed and of all of them.

    Nothing that is trained here is kept. A training too short to gain what trying costs is not tried: then
    there is a {"reason"}.

    Args:
        config: Of the trainings, canonical or not.
        replicas: How many seeds.
        data: Directory of the data sets.
        placement: Threads and one device.
    """
    config = canonical(config)
    device = device_of(placement)
    with placed(placement):
        data_set = load(config, data, device)
        alone = Training(config, 0, data_set, device)
        length = Length(epochs=config.epochs, epoch_steps=alone.epoch_steps)
        if length.steps < LEAST_STEPS:
            return {"reason": f"a training of {length.steps} steps is too short to try it"}
        together = FusedTraining(config, range(replicas), data_set, device)
        # other work on the machine takes the clock's time, but not that of a single thread
        clock = time.process_time if device.type == "cpu" and placement.threads == 1 else time.perf_counter
        runs = (lambda: alone.advance(_at_once), lambda: together.advance(_at_once))
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(1 + _STEPS.get(device.type, 5)):
            for run, into in zip(runs, times, strict=True):
                into.append(_duration(run, device, clock))
    alone_s, together_s = (min(each[1:]) for each in times)  # the first prepares what the others use
    return {"alone_ms": alone_s * 1e3, "together_ms": together_s * 1e3}


def _at_once() -> bool:
    return True


def _duration(run: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    began = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began
