"""A driver in a process of its own: runs toys on a local cluster and prints what it sees as JSON lines."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from orchestrator.execution.ray_tune import RayTuneExecutor
from orchestrator.model.run import Failed, Started
from tests.contracts.execution_fixtures import ListWork, drive, training, worker


def tell(kind: str, **fields: Any) -> None:
    print(json.dumps({"kind": kind, **fields}), flush=True)


def main(folder: Path) -> None:
    assert "ray" not in sys.modules, "importing the executor must not load ray"
    gate = str(folder / "gate")
    work = ListWork(trials=[training(seed, steps=3, gate=gate, gate_at=2) for seed in range(2)])

    def stop(number: int, frame: Any) -> None:
        work.stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    def watch(batch: Any) -> None:
        for event in batch:
            if isinstance(event, Started):
                import ray

                token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
                tell(
                    "started",
                    pid=event.worker["pid"],
                    address=ray.nodes()[0]["NodeManagerAddress"],
                    mode=oct(token.stat().st_mode & 0o777),
                    folder=str(token.parent),
                    folder_mode=oct(token.parent.stat().st_mode & 0o777),
                )
            if isinstance(event, Failed):
                tell("failed", cause=event.failure.cause.value)

    # All the while, not only at the end: Ray takes seconds to start, and may be asked to stop in them.
    handlers, over = set(), threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            handlers.add(signal.getsignal(signal.SIGTERM))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        drive(RayTuneExecutor(worker(folder)), work, watch=watch, limit_s=120)
    finally:
        over.set()
        looker.join()
    kept = handlers == {stop}
    tell("over", states=sorted(work.states.values()), handler_kept=kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
