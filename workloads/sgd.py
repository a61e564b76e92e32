"""SGD with Nesterov's momentum over one flat vector of all parameters.

A small network has a hundred small parameters, and a step over each of them costs more than its
arithmetic. Here every parameter and gradient is a view into one vector, so a step is five operations.
`torch.optim.SGD` is the slow reference; a test holds both equal bit for bit.

Shapes: P all parameters of the network.
"""

from __future__ import annotations

from typing import final

import torch
from torch import nn

from workloads.recipe import SGD


@final
class FlatSGD:
    """The optimizer of one network; takes over the storage of its parameters."""

    def __init__(self, module: nn.Module, config: SGD, *, channels_last: bool = False) -> None:
        """Moves the parameters and their gradients into two vectors.

        Args:
            module: On its final device; parameters shared between its parts are taken once.
            config: Learning rate, momentum, weight decay.
            channels_last: Whether filters lie in memory with their channels last.
        """
        self._config = config
        parameters = list(module.parameters())
        with torch.no_grad():
            self._values_P = torch.cat([_turned(each, channels_last).reshape(-1) for each in parameters])
            self._gradients_P = torch.zeros_like(self._values_P)
            self.momentum_P = torch.zeros_like(self._values_P)
            start = 0
            for each in parameters:
                end = start + each.numel()
                shape = _turned(each, channels_last).shape
                each.data = _turned(self._values_P[start:end].view(shape), channels_last, back=True)
                each.grad = _turned(self._gradients_P[start:end].view(shape), channels_last, back=True)
                start = end

    def zero(self) -> None:
        """Clears the gradients, which the next backward pass adds to."""
        self._gradients_P.zero_()

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Updates every parameter along its gradient.

        Args:
            lr: Learning rate of this step.
        """
        config, gradients_P = self._config, self._gradients_P
        if config.weight_decay:
            gradients_P.add_(self._values_P, alpha=config.weight_decay)
        if not config.momentum:
            self._values_P.add_(gradients_P, alpha=-lr)
            return
        self.momentum_P.mul_(config.momentum).add_(gradients_P)
        if config.nesterov:
            self._values_P.add_(gradients_P.add_(self.momentum_P, alpha=config.momentum), alpha=-lr)
        else:
            self._values_P.add_(self.momentum_P, alpha=-lr)


def _turned(values: torch.Tensor, channels_last: bool, *, back: bool = False) -> torch.Tensor:
    """Returns a view of filters (O, I, H, W) as (O, H, W, I), or back; anything else as it is."""
    if not channels_last or values.dim() != 4:
        return values
    return values.permute(0, 3, 1, 2) if back else values.permute(0, 2, 3, 1)
