"""Networks that draw at random, once for each mini-batch, which of their parts it trains."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch


@runtime_checkable
class Drawn(Protocol):
    """A module that wants a random stream before every training forward pass.

    The stream is its own: what is drawn here moves no dropout mask and no augmentation.
    """

    def draw(self, generator: torch.Generator) -> None:
        """Decides what the next forward pass in training mode runs.

        Args:
            generator: On the CPU; it advances by the same amount at every call.
        """
        ...
