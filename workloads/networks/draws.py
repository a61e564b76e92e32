"""Initial weights of one layer, drawn by a scheme of `workloads.initialisation`.

Weights are drawn in single precision on the generator's device, so that neither device nor precision of the
network changes them.

Shapes: O outputs, I inputs of a weight, K one side of a filter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workloads.initialisation import He, Initialisation, Normal, Orthogonal, Xavier


def draw_filters(weight: Tensor, scheme: Initialisation, generator: torch.Generator) -> None:
    """Leaves fresh weights in a convolution's filters.

    Args:
        weight: weight_OIKK; I is per group.
        scheme: Distribution.
        generator: Where all draws come from.
    """
    drawn = torch.empty(weight.shape, device=generator.device, dtype=torch.float32)
    if isinstance(scheme, He):
        drawn.normal_(0.0, math.sqrt(2.0 / weight[0].numel()), generator=generator)
    else:
        _draw(drawn, scheme, generator)
    _assign(weight, drawn)


def draw_head(weight: Tensor, scheme: Initialisation, generator: torch.Generator) -> None:
    """Leaves fresh weights in a fully connected layer.

    Args:
        weight: weight_OI.
        scheme: Distribution.
        generator: Where all draws come from.
    """
    drawn = torch.empty(weight.shape, device=generator.device, dtype=torch.float32)
    if isinstance(scheme, Xavier) or (isinstance(scheme, Normal | Orthogonal) and scheme.head):
        _draw(drawn, scheme, generator)
    else:
        bound = 1.0 / math.sqrt(weight.shape[1])
        drawn.uniform_(-bound, bound, generator=generator)
    _assign(weight, drawn)


def _draw(drawn: Tensor, scheme: Xavier | Normal | Orthogonal, generator: torch.Generator) -> None:
    if isinstance(scheme, Normal):
        drawn.normal_(0.0, scheme.std, generator=generator)
    elif isinstance(scheme, Orthogonal):
        nn.init.orthogonal_(drawn, scheme.gain, generator=generator)
    else:
        fan_in = drawn[0].numel()
        fan_out = drawn.shape[0] * (fan_in // drawn.shape[1])
        variance = 1 / fan_in if scheme.form == "caffe" else 2 / (fan_in + fan_out)
        bound = math.sqrt(3 * variance)
        drawn.uniform_(-bound, bound, generator=generator)


def _assign(weight: Tensor, drawn: Tensor) -> None:
    with torch.no_grad():
        weight.copy_(drawn)
