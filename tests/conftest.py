"""How tests are shared out among processes (`make test` starts several)."""

from __future__ import annotations

import os
from typing import Any, Final

import pytest

# Ray's workers give way to everything else, which here is the other tests: they would starve beside them.
os.environ.setdefault("RAY_worker_niceness", "0")

# Files whose tests start Ray clusters: those of recovery/ follow each other, and so do the others, so that at
# most two of them run at a time.
RAY: Final = (
    "tests/contracts/test_executor.py",
    "tests/deploy/test_native_stack.py",
    "tests/recovery/test_cluster.py",
    "tests/recovery/test_driver_death.py",
    "tests/recovery/test_jobs.py",
    "tests/recovery/test_workers.py",
    "tests/street/test_executors_agree.py",
    "tests/threats/test_local_ray.py",
    "tests/unit/execution/test_execution_local_ray.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts tests with Ray first: they wait more than they work, and others fill the time beside them."""
    items.sort(key=lambda item: item.nodeid.split("::", 1)[0] not in RAY)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Returns a scheduler that keeps a file's tests together, and those of files with Ray."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc, unused-ignore] # untyped without its stubs
        def _split_scope(self, nodeid: str) -> str:
            file = str(nodeid.split("::", 1)[0])
            if file not in RAY:
                return file
            return "ray, recovery" if file.startswith("tests/recovery/") else "ray"

    return ByFile(config, log)
