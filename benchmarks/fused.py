"""Seeds of a cell as one network against the same seeds one after another, on digits, in one process.

    python -m benchmarks.fused [--json] [--studies]

Whole trainings with their validation and test, same threads, each side by the loop that a study runs; the
other side is the best that one network does (channels last, one flat optimizer). Both are repeated in turn.
The ratio is the median of the pairs' ratios, by the clock and, for a machine that does other things too, by
the processor's own seconds. With `--studies`: whole studies, `fuse: auto` against `never`, from the file to
the table, each in a fresh store, so that what is measured includes the measuring.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

GOAL = 2.0
MOST_SLOWER = 1.05
STUDY = """\
api_version: 1
study: fused
workload: classification
config: {{data: {{name: digits, size: {size}}}, network: {{name: {kind}, width: {width}}}, epochs: {epochs},
  schedule: {{name: one_cycle}}}}
design: {{type: factorial, factors: {{depth: {{path: network.depth, levels: {depths}}}}}}}
seeds: {seeds}
fuse: {fuse}
tables: {{main: {{rows: depth, metric: test_error}}}}
"""
# name -> what a study varies; short and wide ones, where fusing gains little or nothing, among them
_NARROW: dict[str, Any] = {"kind": "resnet", "width": 0.5, "size": 8, "depths": [14], "seeds": 4, "epochs": 8}
STUDIES: dict[str, dict[str, Any]] = {
    "narrow, 4 seeds": _NARROW,
    "narrow, 3 seeds": {**_NARROW, "kind": "plain", "seeds": 3},
    "wide, 2 seeds": {**_NARROW, "width": 2, "depths": [8], "seeds": 2, "epochs": 6},
    "16 x 16": {**_NARROW, "width": 1, "size": 16, "depths": [8], "epochs": 6},
    "short": {**_NARROW, "depths": [8], "epochs": 2},
}
Seconds = tuple[float, float]  # by the clock, of the processor


def timed(run: Callable[[], None]) -> Seconds:
    """Returns how long something takes."""
    began = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def paired(first: Callable[[], Seconds], second: Callable[[], Seconds], repeats: int) -> dict[str, float]:
    """Returns the medians of both, seconds, and of first over second; each pair runs in another order."""
    pairs = []
    for number in range(repeats):
        if number % 2:
            late = second()
            pairs.append((first(), late))
        else:
            early = first()
            pairs.append((early, second()))
    return {
        "first_s": median(one[0] for one, _ in pairs),
        "second_s": median(other[0] for _, other in pairs),
        "ratio": median(one[0] / other[0] for one, other in pairs),
        "ratio_processor": median(one[1] / other[1] for one, other in pairs),
    }


def trainings(depth: int, replicas: int, threads: int, epochs: int, repeats: int) -> dict[str, Any]:
    """Returns how many times as fast so many seeds are as one network."""
    from workloads import fused_training, training
    from workloads.api import Placement
    from workloads.configs import TrainConfig
    from workloads.networks.configs import ResNet
    from workloads.schedules import OneCycle

    config = TrainConfig(network=ResNet(depth=depth, width=0.5), epochs=epochs, schedule=OneCycle())

    def run(fused: bool) -> None:
        train = fused_training.train if fused else training.train
        place = Placement(threads=threads, fused=fused)
        ended = [
            report.evaluation
            for report in train(config, seeds=range(replicas), data=Path(), resume={}, placement=place)
        ]
        assert ended.count("test") == replicas

    run(True)
    found = paired(lambda: timed(lambda: run(False)), lambda: timed(lambda: run(True)), repeats)
    return {"depth": depth, "seeds": replicas, "threads": threads, "epochs": epochs, "goal": GOAL, **found}


def studies(repeats: int, only: str = "") -> Iterator[dict[str, Any]]:
    """Yields, for each study, how long `fuse: auto` takes over `never`."""
    study_s(STUDIES["short"], "never")  # imports are nobody's
    for name, design in STUDIES.items():
        if only not in name:
            continue
        auto, never = partial(study_s, design, "auto"), partial(study_s, design, "never")
        found = paired(auto, never, repeats)
        yield {"study": name, "most": MOST_SLOWER, **found}


def study_s(design: dict[str, Any], fuse: str) -> Seconds:
    """Returns the seconds from a study file to its table, in this process, one trial after another."""
    from orchestrator.app.planning import Request
    from orchestrator.app.run import Running
    from orchestrator.app.submit import submit
    from orchestrator.app.view import Silent
    from orchestrator.settings import Settings

    with tempfile.TemporaryDirectory(prefix="orch-fused-") as folder:
        file = Path(folder, "study.yaml")
        file.write_text(STUDY.format(**design, fuse=fuse))
        settings = Settings(store=Path(folder, "store"), mlflow_uri="off", executor="inline")

        def run() -> None:
            finish = submit(Request(file=file, patches={}), Running(executor="inline"), settings, Silent())
            assert finish.exit_code == 0, finish.summary

        return timed(run)


def main() -> int:
    """Prints the figures; the exit code is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--studies", action="store_true", help="whole studies, auto against never")
    parser.add_argument("--only", default="", help="of the studies, those whose name has this in it")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    say = (lambda text: None) if arguments.json else (lambda text: print(text, flush=True))
    say(f"{platform.platform()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    figures: list[dict[str, Any]] = []
    missed = False
    if arguments.studies:
        for found in studies(arguments.repeats, arguments.only):
            figures.append(found)
            missed |= found["ratio"] > MOST_SLOWER
            say(
                f"{found['study']:16} auto {found['first_s']:6.2f} s, never {found['second_s']:6.2f} s: "
                f"{found['ratio']:.2f}, of the processor {found['ratio_processor']:.2f} "
                f"(goal: {MOST_SLOWER:g} or less)"
            )
    else:
        for threads in arguments.threads:
            for depth in (14, 26):
                for replicas in (4, 8):
                    found = trainings(depth, replicas, threads, arguments.epochs, arguments.repeats)
                    figures.append(found)
                    missed |= found["ratio"] < GOAL
                    say(
                        f"depth {depth}, {replicas} seeds, {threads} threads: one after another "
                        f"{found['first_s']:6.2f} s, together {found['second_s']:6.2f} s: "
                        f"{found['ratio']:.2f} times as fast, of the processor "
                        f"{found['ratio_processor']:.2f} (goal: {GOAL:g} or more)"
                    )
    if arguments.json:
        print(json.dumps({"machine": platform.platform(), "cpus": os.cpu_count(), "figures": figures}))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
