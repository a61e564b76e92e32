"""The browser that tests look at pages with."""

from __future__ import annotations

import functools
import subprocess

import pytest

from tests.street.orch import ROOT


def chromium_path() -> str:
    """Returns the path of Chromium, installed if need be; skips the test where it cannot be had."""
    path, why = _found()
    if not path:
        pytest.skip(f"not run here: {why}")
    return path


@functools.cache
def _found() -> tuple[str, str]:
    done = subprocess.run([ROOT / "scripts" / "chromium.sh"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "", done.stderr.strip()[-500:]
