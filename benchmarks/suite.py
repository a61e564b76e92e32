"""The suite: each row beside what was to reach, ratios within one run, medians of paired repeats.

    python -m benchmarks.suite [--only NAME] [--json] [--small]

`orch bench` and `make bench` run it. Each part has processes of its own, one part after another; nothing else
should run meanwhile. What came out is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from benchmarks import fused, pipeline, records, steps, trials
from benchmarks.load_measure import call, machine
from benchmarks.rows import Row, skipped


def fused_seeds(small: bool) -> Iterator[Row]:
    """Yields seeds as one network, one thread, and whole studies that choose for themselves."""
    for depth in (8,) if small else (14, 26):
        for seeds in (2,) if small else (4, 8):
            epochs, repeats = (1, 1) if small else (3, 5)
            found = fused.trainings(depth, seeds, 1, epochs, repeats)
            yield Row(
                name=f"{seeds} seeds as one network, depth {depth}",
                against="one after another, channels last, 1 thread",
                goal=fused.GOAL,
                reached=found["ratio"],
                note=f"{found['second_s']:.3g} s against {found['first_s']:.3g} s; digits, width 0.5; "
                f"{found['ratio_processor']:.3g} x by the processor's own seconds",
            )
    for found in fused.studies(1, "short") if small else fused.studies(3):
        yield Row(
            name=f"`fuse: auto`, study {found['study']}",
            against="`fuse: never`, times as long",
            goal=found["most"],
            reached=found["ratio"],
            most=True,
            note=f"{found['first_s']:.3g} s against {found['second_s']:.3g} s, trying included",
        )


PARTS: Mapping[str, Callable[[bool], Iterator[Row]]] = {
    "trial": trials.trivial,
    "growth": trials.growth,
    "digits": trials.digits,
    "fused": fused_seeds,
    "step": steps.steps,
    "ensemble": steps.ensemble,
    "pipeline": pipeline.pipeline,
    "mirror": records.mirror,
    "million": records.million,
}


def part(name: str, small: bool) -> list[dict[str, Any]]:
    """Returns the rows of one part as plain values; for a process of its own, which may hold a Ray."""
    return [asdict(row) for row in PARTS[name](small)]


def measured(name: str, small: bool) -> list[Row]:
    """Returns the rows of one part; a part that fails is a row that says so, and costs no other part."""
    try:
        return [Row(**row) for row in call("benchmarks.suite:part", name, small).result]
    except RuntimeError as error:
        traceback.print_exc()
        return [skipped(name, "", 0, f"FAILED: {str(error).strip().splitlines()[-1]}")]


def facts() -> dict[str, Any]:
    """Returns what the figures depend on."""
    from orchestrator.execution.processor import processor

    return {**machine(), "processor": processor(), "bfloat16": steps.has_bfloat16()}


def main() -> int:
    """Prints the table; the exit code is 1 where a goal is missed or a part failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="these parts only")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--small", action="store_true", help="tiny sizes: whether it runs at all")
    arguments = parser.parse_args()
    rows: list[Row] = []
    known = facts()
    if not arguments.json:
        print(", ".join(f"{name} {value}" for name, value in known.items()))
        if os.getloadavg()[0] > 0.5 * steps.processors():
            print(f"other work runs here (load {os.getloadavg()[0]:.1f}): the figures are not to be trusted")
        print(f"{'what':<44} {'against':<42} {'to reach':>12} {'reached':>12}", flush=True)
    for name in arguments.only or PARTS:
        for row in measured(name, arguments.small):
            rows.append(row)
            if not arguments.json:
                print(row.line(), flush=True)
    if arguments.json:
        listed = [{**asdict(row), "verdict": row.verdict} for row in rows]
        print(json.dumps({"machine": known, "rows": listed}, indent=2))
    failed = any(row.verdict == "MISSED" or row.note.startswith("FAILED") for row in rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
