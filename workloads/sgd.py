"""SGD with Nesterov's momentum over one flat vector of all parameters.

A small network has a hundred small parameters, and a step over each of them costs more than its
arithmetic. Here every parameter and gradient is a view into one vector, in which parameters of equal decay
and rate lie side by side, so a step is a handful of operations. `torch.optim.SGD` with parameter groups is
the slow reference; a test holds both equal bit for bit.

Shapes: P all parameters of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import final

import torch
from torch import nn

from workloads.recipe import SGD


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What differs between the parameters of one optimizer.

    Attributes:
        decay: L2 penalty's coefficient.
        rate: What the learning rate is multiplied by.
    """

    decay: float
    rate: float


def rules(module: nn.Module, config: SGD) -> dict[Rule, list[nn.Parameter]]:
    """Returns the parameters under each rule, in the order of the first that is under it.

    Args:
        module: Parameters shared between its parts are taken once.
        config: Says which parameters are decayed and how fast biases learn.
    """
    found: dict[Rule, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        is_bias = name.rpartition(".")[2] == "bias"
        decays = {"all": True, "filters": parameter.dim() != 1, "no_bias": not is_bias}[config.decay]
        rule = Rule(decay=config.weight_decay if decays else 0.0, rate=config.bias_rate if is_bias else 1.0)
        found.setdefault(rule, []).append(parameter)
    return found


@final
class FlatSGD:
    """The optimizer of one network; takes over the storage of its parameters.

    Attributes:
        gradients_P: Gradients of all parameters.
        momentum_P: Momentum of all parameters, in the same order.
    """

    def __init__(self, module: nn.Module, config: SGD, *, channels_last: bool = False) -> None:
        """Moves the parameters and their gradients into two vectors.

        Args:
            module: On its final device; parameters shared between its parts are taken once.
            config: Learning rate, momentum, weight decay.
            channels_last: Whether filters lie in memory with their channels last.
        """
        self._config = config
        ruled = rules(module, config)
        parameters = [each for several in ruled.values() for each in several]
        self._sizes = [each.numel() for each in parameters]
        with torch.no_grad():
            self._values_P = torch.cat([_turned(each, channels_last).reshape(-1) for each in parameters])
            self.gradients_P = torch.zeros_like(self._values_P)
            self.momentum_P = torch.zeros_like(self._values_P)
            start = 0
            for each in parameters:
                end = start + each.numel()
                shape = _turned(each, channels_last).shape
                each.data = _turned(self._values_P[start:end].view(shape), channels_last, back=True)
                each.grad = _turned(self.gradients_P[start:end].view(shape), channels_last, back=True)
                start = end
        ends = list(accumulate(sum(each.numel() for each in several) for several in ruled.values()))
        ranges = [slice(first, last) for first, last in zip([0, *ends], ends, strict=False)]
        self._rules = tuple(zip(ruled, ranges, strict=True))
        rates = {rule.rate for rule in ruled}
        self._rate = rates.pop() if len(rates) == 1 else None  # of all parameters

    def zero(self) -> None:
        """Clears the gradients, which the next backward pass adds to."""
        self.gradients_P.zero_()

    def positions(self, index: int, parts: int) -> torch.Tensor:
        """Returns where one of equal parts of every parameter lies in the vectors, in the parameters' order.

        Args:
            index: Which part.
            parts: How many lie end to end in each parameter.
        """
        starts = accumulate(self._sizes, initial=0)
        sizes = [size // parts for size in self._sizes]
        ranges = [
            torch.arange(start + index * size, start + (index + 1) * size)
            for start, size in zip(starts, sizes, strict=False)
        ]
        return torch.cat(ranges).to(self.momentum_P.device)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Updates every parameter along its gradient.

        Args:
            lr: Learning rate of this step.
        """
        config, gradients_P = self._config, self.gradients_P
        for rule, part in self._rules:
            if rule.decay:
                gradients_P[part].add_(self._values_P[part], alpha=rule.decay)
        if config.momentum:
            self.momentum_P.mul_(config.momentum).add_(gradients_P)
            if config.nesterov:
                gradients_P.add_(self.momentum_P, alpha=config.momentum)
            else:
                gradients_P = self.momentum_P
        if self._rate is not None:
            self._values_P.add_(gradients_P, alpha=-lr * self._rate)
            return
        for rule, part in self._rules:
            self._values_P[part].add_(gradients_P[part], alpha=-lr * rule.rate)


def _turned(values: torch.Tensor, channels_last: bool, *, back: bool = False) -> torch.Tensor:
    """Returns a view of filters (O, I, H, W) as (O, H, W, I), or back; anything else as it is."""
    if not channels_last or values.dim() != 4:
        return values
    return values.permute(0, 3, 1, 2) if back else values.permute(0, 2, 3, 1)
