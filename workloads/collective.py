"""Sums over the local ranks that train one network together.

Shapes: any; a sum has the shape of its terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor


def _alone() -> None:
    return None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The ranks of one training, of which this process is one; torch's default process group joins them.

    Attributes:
        rank: Of this process; 0 reports, evaluates and saves.
        size: Number of ranks, at least 2.
        call: Called by rank 0 before each mini-batch; it makes the other ranks learn from it too.
    """

    rank: int
    size: int
    call: Callable[[], None] = _alone

    def add(self, values: Tensor) -> None:
        """Replaces values by their sum over the ranks."""
        dist.all_reduce(values)

    def sum(self, values: Tensor) -> Tensor:
        """Returns the sum over the ranks, through which gradients flow back to every rank."""
        total: Tensor = _Sum.apply(values)
        return total


class _Sum(torch.autograd.Function):
    # The loss is the sum of the ranks' losses, so a term's gradient is the sum of the ranks' of the total.

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total
