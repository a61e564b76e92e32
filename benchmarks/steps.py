"""Training steps: what a study can choose beside torch's plain loop, an ensemble beside its eight networks.

Shapes: B images of a mini-batch, C channels, H height, W width.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.load_measure import Child, call
from benchmarks.rows import Row, paired

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 64
SIDE = 32
WAIT_S = 120.0


def processors() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def has_bfloat16() -> bool:
    """Returns whether the processor has instructions for bfloat16."""
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        return "avx512_bf16" in flags or "amx_bf16" in flags or " bf16" in flags
    return False


def steps(small: bool) -> Iterator[Row]:
    """Yields the images that two or more processes learn from in a second, beside torch's plain loop."""
    repeats, seconds = (1, 0.2) if small else (3, 4.0)
    depths = (8,) if small else (14, 26)
    count = processors()
    for depth in depths:
        plain, float32, half, alone, compiled = [], [], [], [], []
        for _ in range(repeats):
            plain.append(_rate([depth, "plain", count, seconds], 1))
            float32.append(_rate([depth, "float32", 1, seconds], count))
            half.append(_rate([depth, "bfloat16", 1, seconds], count))
            alone.append(_rate([depth, "float32", count, seconds], 1))
        if not small:
            compiled.append(_rate([depth, "compiled", count, seconds], 1))
        against = f"torch's plain loop, float32, {count} threads"
        said = f"{statistics.median(plain):.4g} images/s plain"
        why = "" if has_bfloat16() else "; this processor has no instructions for bfloat16"
        yield _ratio(
            f"step, depth {depth}: bfloat16, {count} processes",
            against,
            half,
            plain,
            f"{said}, {statistics.median(half):.4g} in bfloat16{why}",
        )
        others = f", {compiled[0]:.4g} compiled in one" if compiled else ""
        yield _ratio(
            f"step, depth {depth}: float32, {count} processes",
            against,
            float32,
            plain,
            f"{statistics.median(float32):.4g} images/s channels last in {count} processes, "
            f"{statistics.median(alone):.4g} in one of {count} threads{others}",
        )


def _ratio(name: str, against: str, ours: Sequence[float], peer: Sequence[float], note: str) -> Row:
    pairs = [own / other for own, other in zip(ours, peer, strict=True)]
    return Row(name=name, against=against, goal=2.2, reached=statistics.median(pairs), pairs=pairs, note=note)


def _rate(arguments: Sequence[Any], processes: int) -> float:
    """Returns images a second of some processes that learn at the same time."""
    with tempfile.TemporaryDirectory(prefix="orch-steps-") as folder:
        children = [
            Child("benchmarks.steps:learning", [*arguments, folder, processes]) for _ in range(processes)
        ]
        return sum(float(child.wait().result) for child in children)


def learning(depth: int, how: str, threads: int, seconds: float, folder: str, processes: int) -> float:
    """Returns images a second of one network, begun together with the other processes.

    Args:
        depth: Of a residual network for 3x32x32 images.
        how: "plain" for torch's loop, else a precision of ours, or "compiled".
        threads: Of torch.
        seconds: How long it learns.
        folder: Where processes say that they are ready.
        processes: How many there are.
    """
    import torch

    torch.set_num_threads(threads)
    step = _plain_step(depth) if how == "plain" else _our_step(depth, how)
    for _ in range(2):
        step()
    Path(folder, str(os.getpid())).touch()
    deadline = time.monotonic() + WAIT_S
    while len(os.listdir(folder)) < processes and time.monotonic() < deadline:
        time.sleep(0.001)
    began, times = time.perf_counter(), [time.perf_counter()]
    while times[-1] - began < seconds or len(times) < 4:
        step()
        times.append(time.perf_counter())
    taken = [later - earlier for earlier, later in pairwise(times)]
    return BATCH / statistics.median(taken)


def _batch() -> tuple[Tensor, Tensor]:
    import torch

    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn(BATCH, 3, SIDE, SIDE, generator=generator)
    return x_BCHW, torch.randint(0, 10, (BATCH,), generator=generator)


def _our_step(depth: int, how: str) -> Callable[[], object]:
    import torch

    from workloads.configs import TrainConfig
    from workloads.learner import Learner
    from workloads.networks.build import build, initialise
    from workloads.networks.configs import ResNet

    config = TrainConfig(network=ResNet(depth=depth, classes=10, in_channels=3, input_size=SIDE))
    config = replace(config, compile=True) if how == "compiled" else replace(config, precision=how)  # type: ignore[arg-type]
    network = build(config.network)
    initialise(network, torch.Generator().manual_seed(0), config.initialisation)
    learner, modules = Learner(network, config, torch.device("cpu"), None), torch.Generator()
    x_BCHW, y_B = _batch()
    return lambda: learner.learn(x_BCHW, y_B, 0.01, modules)


def _plain_step(depth: int) -> Callable[[], object]:
    import torch

    from workloads.networks.build import build
    from workloads.networks.configs import ResNet

    network = build(ResNet(depth=depth, classes=10, in_channels=3, input_size=SIDE))
    x_BCHW, y_B = _batch()
    return plain_step([network], lambda: torch.nn.functional.cross_entropy(network(x_BCHW), y_B))


def plain_step(networks: Sequence[Any], loss: Callable[[], Tensor]) -> Callable[[], object]:
    """Returns a step of torch's plain loop.

    Args:
        networks: What is trained.
        loss: Their loss for the mini-batch.
    """
    import torch

    parameters = list({id(each): each for net in networks for each in net.parameters()}.values())
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def ensemble(small: bool) -> Iterator[Row]:
    """Yields a step and an evaluation of an ensemble of eight beside its eight networks apart."""
    for row in call("benchmarks.steps:ensemble_rows", small).result:
        yield Row(**row)


def ensemble_rows(small: bool) -> list[dict[str, Any]]:
    """Returns the rows of `ensemble` as plain values; for a process of its own."""
    import copy
    from dataclasses import asdict

    import torch
    import torch.nn.functional as F

    from workloads.networks.build import build
    from workloads.networks.configs import PathEnsemble
    from workloads.networks.outputs import cross_entropy_sum
    from workloads.networks.path_ensemble import PathEnsembleNet, unrolled

    torch.set_num_threads(processors())
    config = PathEnsemble(depth=8 if small else 26, classes=10, in_channels=3, input_size=SIDE)
    shared = build(config)
    assert isinstance(shared, PathEnsembleNet)
    eight = list(unrolled(copy.deepcopy(shared)).values())
    x_BCHW, y_B = _batch()
    repeats = 1 if small else 7

    def apart_loss() -> Tensor:
        return torch.stack([F.cross_entropy(each(x_BCHW), y_B) for each in eight]).sum()

    together = plain_step([shared], lambda: cross_entropy_sum(shared(x_BCHW), y_B))
    apart = plain_step(eight, apart_loss)
    found = [
        paired(together, apart, repeats=repeats).row(
            f"step of an ensemble of 8, depth {config.depth}", "the naive eight networks", 2.1
        )
    ]
    for each in (shared, *eight):
        each.eval()
    with torch.no_grad():
        found.append(
            paired(lambda: shared(x_BCHW), lambda: [each(x_BCHW) for each in eight], repeats=2 * repeats).row(
                f"evaluation of an ensemble of 8, depth {config.depth}", "the naive eight networks", 1.9
            )
        )
    return [asdict(row) for row in found]
