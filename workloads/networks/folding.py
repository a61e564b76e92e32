"""A trained chain of layers as a plain one of convolutions with bias, ReLU and pooling.

Batch normalisation with its running statistics is an affine map of each channel, and the filters of a Dirac
convolution are constants once it is trained, so both go into the filters and the bias of one convolution:
    filters = W^ gamma / sqrt(variance + eps),    bias = beta - mean gamma / sqrt(variance + eps).
Each ReLU stays in front of the convolution that it feeds.

Shapes: O outputs and I inputs of a convolution, K one side of its filters.
Source: Zagoruyko and Komodakis 2017, sections 1 and 2.1 ("folded into a single vector").
"""

from __future__ import annotations

import torch
from torch import nn

from workloads.networks.dirac import ChainNet
from workloads.networks.dirac_conv import filters


def fold(net: ChainNet) -> nn.Sequential:
    """Returns a chain of convolution, ReLU, pooling and one fully connected layer with the network's outputs.

    It is in evaluation mode, shares nothing with the network and learns nothing. Folded in double precision,
    then rounded to the network's.

    Args:
        net: In any mode; its running statistics are those that count.
    """
    parts: list[nn.Module] = []
    for part in net.parts():
        if isinstance(part, nn.MaxPool2d):
            parts.append(nn.MaxPool2d(part.kernel_size, part.stride, part.padding))
            continue
        if part.relu:
            parts.append(nn.ReLU(inplace=True))
        parts.append(fold_layer(part.conv, part.bn))
    head = net.head.fc
    last = nn.Linear(head.in_features, head.out_features, device=head.weight.device, dtype=head.weight.dtype)
    last.load_state_dict(head.state_dict())
    parts += [nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last]
    return nn.Sequential(*parts).eval().requires_grad_(False)


@torch.no_grad()
def fold_layer(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """Returns the convolution with bias that a convolution and its normalisation are in evaluation mode.

    Args:
        conv: Plain or Dirac.
        bn: With running statistics, scale and shift.
    """
    assert bn.running_mean is not None
    assert bn.running_var is not None
    weight = conv.weight
    folded = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        _pair(conv.kernel_size),
        stride=_pair(conv.stride),
        padding=conv.padding if isinstance(conv.padding, str) else _pair(conv.padding),
        dilation=_pair(conv.dilation),
        groups=conv.groups,
        device=weight.device,
        dtype=weight.dtype,
    )
    scale_O = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()
    bias_O = bn.bias.double() - bn.running_mean.double() * scale_O
    if conv.bias is not None:
        bias_O += conv.bias.double() * scale_O
    assert folded.bias is not None
    folded.weight.copy_(filters(conv).double() * scale_O[:, None, None, None])
    folded.bias.copy_(bias_O)
    return folded


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second
