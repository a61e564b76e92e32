"""Training steps on one device, each measured in a process of its own; see `benchmarks.gpu`.

Shapes: B images of a mini-batch, C channels, H height, W width, K replicas.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workloads.configs import TrainConfig
from workloads.data.loader import Loader
from workloads.data.split import Split
from workloads.fused_learner import FusedLearner
from workloads.learner import Learner
from workloads.networks.build import build, initialise
from workloads.networks.configs import DFNMR, Network, PathEnsemble, ResNet
from workloads.networks.outputs import cross_entropy_sum

SHAPE: dict[str, Any] = {"classes": 10, "in_channels": 3, "input_size": 32}
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
PADDING = 4
LOOK = 16  # steps between two waits for the device, which a training's own looks are apart
WAIT_S = 300.0


def network_of(name: str, small: bool) -> Network:
    """Returns the configuration of one of the networks."""
    width = 0.25 if small else 1.0
    if name == "resnet":
        return ResNet(depth=8 if small else 26, width=width, **SHAPE)
    if name == "dfn":
        return DFNMR(depth=8 if small else 56, width=width, **SHAPE)
    return PathEnsemble(depth=8 if small else 26, width=width, **SHAPE)


def bytes_of(images: int) -> tuple[Tensor, Tensor]:
    """Returns images of noise, bytes, and their classes."""
    stream = torch.Generator().manual_seed(0)
    x_NCHW = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=stream)
    return x_NCHW, torch.randint(0, 10, (images,), generator=stream)


def batches_of(device: torch.device, batch: int, images: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """Returns what gives augmented mini-batches of a set that is whole on the device, for ever."""
    x_NCHW, y_N = bytes_of(images)
    split = Split(
        x_NCHW=x_NCHW.to(device),
        y_N=y_N.to(device),
        mean_C=torch.tensor(MEAN, device=device),
        std_C=torch.tensor(STD, device=device),
    )
    loader = Loader(split, batch_size=batch, padding=PADDING, flips=True)
    stream = torch.Generator().manual_seed(1)
    place: list[Any] = [loader.order(stream), 0]
    full = images // batch

    def next_batch() -> tuple[Tensor, Tensor]:
        if place[1] == full:
            place[:] = [loader.order(stream), 0]
        place[1] += 1
        return loader.batch(place[0], place[1] - 1, stream)

    return next_batch


def fresh(network: Network, seed: int, device: torch.device) -> nn.Module:
    """Returns a network with initial weights, on the device."""
    module = build(network)
    initialise(module, torch.Generator().manual_seed(seed))
    return module.to(device)


def measure(name: str, kind: str, options: dict[str, Any]) -> float:
    """Returns images a second.

    Args:
        name: Of the network.
        kind: "loader" (torch's plain loop with torchvision and a DataLoader), "alone", "fused", "graph" or
            "vmap".
        options: `device`, `batch`, `replicas`, `settings` (fields of the configuration), `seconds`, `images`,
            `small`, and `folder` with `processes` where several begin together.
    """
    device = torch.device(options["device"])
    settings = options.get("settings", {})
    config = TrainConfig(network=network_of(name, options["small"]), batch_size=options["batch"])
    config = replace(config, **settings)
    step, count = _KINDS[kind](config, device, options)
    for _ in range(3):
        step()
    _wait(device)
    _together(options.get("folder"), options.get("processes", 1))
    rates: list[float] = []
    steps = 2 if options["small"] else LOOK
    began = time.perf_counter()
    while time.perf_counter() - began < options["seconds"] or len(rates) < 3:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        _wait(device)
        rates.append(steps * count / (time.perf_counter() - start))
    return statistics.median(rates)


def _alone(config: TrainConfig, device: torch.device, options: dict[str, Any]) -> tuple[Any, int]:
    learner = Learner(fresh(config.network, 0, device), config, device, None)
    batch, modules = batches_of(device, config.batch_size, options["images"]), torch.Generator()
    return lambda: learner.learn(*batch(), 0.01, modules), config.batch_size


def _fused(config: TrainConfig, device: torch.device, options: dict[str, Any]) -> tuple[Any, int]:
    count = options["replicas"]
    networks = [fresh(config.network, seed, device) for seed in range(count)]
    streams = [torch.Generator().manual_seed(seed) for seed in range(count)]
    learner = FusedLearner(networks, config, device, streams)
    batch = batches_of(device, config.batch_size, options["images"])
    return lambda: learner.learn([batch() for _ in range(count)], 0.01), count * config.batch_size


def _loader(config: TrainConfig, device: torch.device, options: dict[str, Any]) -> tuple[Any, int]:
    """Returns a step as everybody writes it: torchvision's transforms, a DataLoader, torch's optimizer."""
    from benchmarks.pipeline import torchvision_loader

    torch.backends.cudnn.benchmark = True
    network = fresh(config.network, 0, device)
    workers = max(1, (os.cpu_count() or 2) // options.get("processes", 1) - 1)
    loader = torchvision_loader(*bytes_of(options["images"]), config.batch_size, workers)
    iterator = [iter(loader)]
    optimizer = _sgd(network)

    def step() -> None:
        found = next(iterator[0], None)
        if found is None:
            iterator[0] = iter(loader)
            found = next(iterator[0])
        x_BCHW, y_B = (each.to(device, non_blocking=True) for each in found)
        optimizer.zero_grad()
        cross_entropy_sum(network(x_BCHW), y_B).backward()
        optimizer.step()

    return step, config.batch_size


def _graph(config: TrainConfig, device: torch.device, options: dict[str, Any]) -> tuple[Any, int]:
    """Returns a step of torch's loop that was captured as one CUDA graph."""
    network = fresh(config.network, 0, device)
    batch = batches_of(device, config.batch_size, options["images"])
    optimizer = _sgd(network)
    x_BCHW, y_B = (each.clone() for each in batch())

    def learn() -> None:
        optimizer.zero_grad(set_to_none=False)
        cross_entropy_sum(network(x_BCHW), y_B).backward()
        optimizer.step()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            learn()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        learn()

    def step() -> None:
        for place, value in zip((x_BCHW, y_B), batch(), strict=True):
            place.copy_(value)
        graph.replay()

    return step, config.batch_size


def _vmap(config: TrainConfig, device: torch.device, options: dict[str, Any]) -> tuple[Any, int]:
    """Returns a step of several replicas by torch.func: their stacked state, mapped over."""
    count = options["replicas"]
    networks = [fresh(config.network, seed, device) for seed in range(count)]
    parameters, buffers = torch.func.stack_module_state(networks)
    batch = batches_of(device, config.batch_size, options["images"])
    momentum = {name: torch.zeros_like(each) for name, each in parameters.items()}

    def loss(own: Any, kept: Any, x_BCHW: Tensor, y_B: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(networks[0], (own, kept), (x_BCHW,))
        if output.dim() == 2:
            return functional.cross_entropy(output, y_B)
        return functional.cross_entropy(output.flatten(0, 1), y_B.repeat(len(output))) * len(output)

    gradients = torch.func.vmap(torch.func.grad(loss), randomness="different")

    def step() -> None:
        several = [batch() for _ in range(count)]
        x_KBCHW, y_KB = (torch.stack([each[part] for each in several]) for part in (0, 1))
        found = gradients(parameters, buffers, x_KBCHW, y_KB)
        with torch.no_grad():
            for name, value in parameters.items():
                momentum[name].mul_(0.9).add_(found[name]).add_(value, alpha=1e-4)
                value.sub_(momentum[name], alpha=0.01)

    return step, count * config.batch_size


_KINDS: dict[str, Callable[[TrainConfig, torch.device, dict[str, Any]], tuple[Any, int]]] = {
    "alone": _alone,
    "fused": _fused,
    "loader": _loader,
    "graph": _graph,
    "vmap": _vmap,
}


def _sgd(network: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _together(folder: str | None, processes: int) -> None:
    """Waits until so many processes are ready."""
    if folder is None:
        return
    Path(folder, str(os.getpid())).touch()
    deadline = time.monotonic() + WAIT_S
    while len(os.listdir(folder)) < processes and time.monotonic() < deadline:
        time.sleep(0.001)
