"""What orch takes: large studies, many of them, many processes at once; each figure beside its goal.

    python -m benchmarks.load [--only NAME] [--json] [--small]

Times are wall clocks of whole processes, the interpreter's start included, medians of some runs. Nothing
trains: trials return one number, or their results are made up (benchmarks/load_stores.py). What came out
is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from benchmarks import load_checkpoints, load_page, load_readers, load_scale, load_writers
from benchmarks.load_measure import SMALL, Figure, Sizes, told

PARTS: Mapping[str, Callable[[Sizes], Iterator[Figure]]] = {
    "planning": load_scale.planning,
    "large": load_scale.large,
    "page": load_page.page,
    "submitters": load_writers.submitters,
    "leases": load_writers.leases,
    "readers": load_readers.readers,
    "durability": load_checkpoints.durability,
    "retention": load_checkpoints.retention,
}


def main() -> int:
    """Prints the figures; the exit code is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="these parts only")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--small", action="store_true", help="tiny sizes: whether it runs at all")
    arguments = parser.parse_args()
    sizes = SMALL if arguments.small else Sizes()
    parts = [PARTS[name](sizes) for name in arguments.only or PARTS]
    return told(chain.from_iterable(parts), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
