"""A workload without torch: `value = f(config, seed)`, with every way to misbehave that tests need.

`workload: tests.toy_workload:SPEC` names it in a study.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads.api import Condition, Cost, Family, Placement, Report, Spec, Work, to_plain

STATE = "state.json"
FAULTS = (
    *("", "raise", "diverge", "kill", "memory", "disk", "exit", "text", "silent", "no report"),
    *("hog", "stop", "deaf", "kill in save", "kill at end"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the toy trains.

    Attributes:
        x: Enters the value.
        steps: Reports of the training, a checkpoint with each.
        step_s: Seconds each takes, asleep; spin_s: busy.
        fault: Which misfortune happens, at which step and for which seed (-1: all).
        once: A file; the fault happens only while it does not exist, and makes it. A name that ends in "/"
            is a folder, with a file for each fault and seed.
        gate: A file; training waits at `gate_at` until it exists, reporting all the while. A name that ends
            in "/" is a folder, with a file "x-seed" for each training.
        trace: A file that gets a line "seed step pid" for each step, to see what was computed.
        ballast_kb: Size of a further file in each checkpoint.
        bowl: A value that falls as `x` comes near it, in place of the one that is drawn: something to search
            for.
        children: Processes that it starts and ends with the training, as a loader of data does.
    """

    x: float = 0.0
    steps: int = 3
    step_s: float = 0.0
    spin_s: float = 0.0
    fault: str = ""
    fault_at: int = 1
    fault_seed: int = -1
    once: str = ""
    gate: str = ""
    gate_at: int = 1
    trace: str = ""
    ballast_kb: int = 0
    children: int = 0
    bowl: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.fault not in FAULTS:
            raise ValueError(f"fault must be one of {', '.join(FAULTS)}; got {self.fault!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleParameters:
    """Parameters of the family `scale`."""

    by: float = 1.0
    fault: str = ""
    points: int = 1  # observations, at coordinates layer=0, 1, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NoParameters:
    """A family without parameters."""


def value(x: float, seed: int, step: int) -> float:
    """Returns the "error" after a step: deterministic, different for each argument."""
    digest = hashlib.sha256(f"{x!r}/{seed}/{step}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def value_of(config: Config, seed: int, step: int) -> float:
    """Returns the "error" of a training after a step."""
    if config.bowl is None:
        return value(config.x, seed, step)
    return (config.x - config.bowl) ** 2 + 1 / step + 1e-3 * value(config.x, seed, step)


def draw_value(seed: int, family: str, draw: int) -> float:
    """Returns the number that a random family draws."""
    return value(0.0, seed, draw) * (len(family) + 1)


class Toy:
    """Trains nothing, in the shape of a training."""

    def train(
        self,
        config: Config,
        *,
        seeds: Sequence[int],
        data: Path,
        resume: Mapping[int, Path],
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields `steps` reports for each seed, in turn, then the tests."""
        with started(config.children, config.trace):
            try:
                yield from self._train(config, seeds, resume)
            finally:
                if config.fault == "kill at end" and self._struck(config, seeds[0], config.fault_at):
                    os.kill(os.getpid(), signal.SIGKILL)

    def _train(self, config: Config, seeds: Sequence[int], resume: Mapping[int, Path]) -> Iterator[Report]:
        done = [
            json.loads((resume[index] / STATE).read_text())["step"] if index in resume else 0
            for index in range(len(seeds))
        ]
        for step in range(1, config.steps + 1):
            for index, seed in enumerate(seeds):
                if step <= done[index]:
                    continue
                yield from self._wait(config, index, seed, step)
                if config.step_s:
                    time.sleep(config.step_s)
                end = time.monotonic() + config.spin_s
                while time.monotonic() < end:
                    pass
                if config.trace:
                    with open(config.trace, "a") as file:
                        file.write(f"{seed} {step} {os.getpid()}\n")
                logging.getLogger("toy").info("seed %d step %d", seed, step)
                error: Any = value_of(config, seed, step)
                at_once = config.fault not in ("kill in save", "kill at end")
                if at_once and self._struck(config, seed, step):
                    if config.fault == "diverge":
                        error = math.nan
                    elif config.fault == "text":
                        error = "good"
                    elif config.fault == "no report":
                        yield None  # type: ignore[misc]
                    elif config.fault == "silent":
                        return
                    else:
                        strike(config.fault)
                yield Report(
                    index=index,
                    step=step,
                    metrics={"error": error},
                    save=self._saver(config, seed, step),
                    progress=step / config.steps,
                )
        for index, seed in enumerate(seeds):
            yield Report(
                index=index,
                evaluation="test",
                step=config.steps,
                metrics={"test_error": value_of(config, seed, config.steps)},
                save=self._saver(config, seed, config.steps),
                progress=1.0,
            )

    def evaluate(
        self,
        checkpoints: Sequence[Path],
        conditions: Sequence[Condition],
        *,
        data: Path,
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields what each condition makes of the parents' values."""
        states = [json.loads((path / STATE).read_text()) for path in checkpoints]
        values = [value(state["config"]["x"], state["seed"], state["step"]) for state in states]
        for index, condition in enumerate(conditions):
            if condition.family == "scale":
                parameters = ScaleParameters(**dict(condition.parameters))  # type: ignore[arg-type]
                strike(parameters.fault)
                for layer in range(parameters.points):
                    coords = {"layer": layer} if parameters.points > 1 else {}
                    yield Report(
                        index=index, coords=coords, metrics={"test_error": values[0] * parameters.by + layer}
                    )
            elif condition.family == "noise":
                drawn = draw_value(condition.seed, condition.family, condition.draw)
                yield Report(index=index, metrics={"test_error": values[0] + drawn})
            else:
                yield Report(index=index, metrics={"test_error": sum(values) / len(values)})

    def _wait(self, config: Config, index: int, seed: int, step: int) -> Iterator[Report]:
        if config.gate and step == config.gate_at:
            save = self._saver(config, seed, step - 1) if step > 1 else None
            gate = Path(config.gate, f"{config.x:g}-{seed}" if config.gate.endswith("/") else "")
            while not gate.exists():
                yield Report(index=index, step=step - 1, save=save)
                time.sleep(0.01)

    def _struck(self, config: Config, seed: int, step: int) -> bool:
        if not config.fault or step != config.fault_at or config.fault_seed not in (-1, seed):
            return False
        if config.once:
            path = Path(config.once)
            if config.once.endswith("/"):
                path = path / f"{config.fault.replace(' ', '-')}-{seed}"
            if path.exists():
                return False
            path.touch()
        return True

    def _saver(self, config: Config, seed: int, step: int) -> Any:
        def save(directory: Path) -> None:
            if config.ballast_kb:
                (directory / "ballast").write_bytes(bytes(1024 * config.ballast_kb))
            state = {"config": to_plain(config), "seed": seed, "step": step}
            if config.fault == "kill in save" and self._struck(config, seed, step):
                (directory / STATE).write_text(json.dumps(state)[:9])
                os.kill(os.getpid(), signal.SIGKILL)
            (directory / STATE).write_text(json.dumps(state))

        return save


def strike(fault: str) -> None:
    """Raises, or ends this process, as the fault says."""
    match fault:
        case "raise":
            raise ValueError("the toy was told to raise")
        case "memory":
            raise MemoryError("the toy is too big")
        case "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "/full")
        case "hog":
            hog()
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "deaf":
            time.sleep(3600)
        case "exit":
            raise SystemExit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


def hog() -> None:
    """Asks for more memory than this process may have."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, before[1]))
    try:
        bytearray(2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def started(count: int, trace: str) -> Iterator[None]:
    """A context with so many further processes, whose pids go to `trace` as lines "child PID"."""
    command = [sys.executable, "-S", "-c", "import time; time.sleep(3600)"]
    children = [subprocess.Popen(command) for _ in range(count)]
    try:
        for child in children:
            with open(trace, "a") as file:
                file.write(f"child {child.pid}\n")
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def describe(config: Config) -> dict[str, float | None]:
    """Returns the description of the network."""
    return {"parameters": 10 * config.steps, "longest_path": config.steps, "flops": None, "paths": 1}


def try_fused(config: Config, replicas: int, data: Path, placement: Placement) -> dict[str, Any]:
    """Returns what trying seeds together comes to: it pays below an x of 50, and costs from there."""
    if config.x == 99:
        raise MemoryError("the toys are too big together")
    return {"alone_ms": 10.0, "together_ms": 12.0 if config.x < 50 else 60.0}


def estimate(config: Config) -> Cost:
    """Returns what a training comes to: so many steps."""
    work = Work(flops=float(config.steps), operations=float(config.steps))
    one = Work(flops=1.0, operations=1.0)
    return Cost(train=work, test=one)


def checkpoint_bytes(config: Config) -> float:
    """Returns the size of a checkpoint: its ballast, a config and a history."""
    return 1024.0 * config.ballast_kb + 600


WORKLOAD = Toy()

SPEC = Spec(
    name="toy",
    version=1,
    config=Config,
    metrics={"train": ("error",), "test": ("test_error",)},
    families={
        "scale": Family(parameters=ScaleParameters, metrics=("test_error",), coords=("layer",)),
        "noise": Family(parameters=NoParameters, metrics=("test_error",), random=True),
        "vote": Family(parameters=NoParameters, metrics=("test_error",), gathers=True),
    },
    recipes={"long": Config(x=2.0, steps=5), "short": Config(x=7.0, steps=1, fault="diverge")},
    pace=lambda config: config.x,
    unfused=lambda config: "half of a toy is no toy" if config.x == 0.5 else None,
    try_fused="tests.toy_workload:try_fused",
    runtime="tests.toy_workload:WORKLOAD",
    estimate="tests.toy_workload:estimate",
    checkpoint_bytes="tests.toy_workload:checkpoint_bytes",
    describe="tests.toy_workload:describe",
)
