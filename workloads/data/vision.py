"""torchvision, imported when something of it is needed: that takes seconds, and most trials read digits."""

from __future__ import annotations

from typing import Any


def datasets() -> Any:
    """Returns `torchvision.datasets`."""
    from torchvision import datasets as found

    return found


def transforms() -> Any:
    """Returns `torchvision.transforms.v2.functional`."""
    from torchvision.transforms.v2 import functional

    return functional
