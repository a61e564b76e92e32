"""Floating-point operations of a forward pass, counted as it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from workloads.networks.build import build, on_meta
from workloads.networks.configs import Network
from workloads.networks.layers import given

_LAYERS: Final = frozenset({torch.conv1d, torch.conv2d, torch.conv3d, F.linear})
# Such a network is run rather than followed on the meta device, which loads torch's compiler: two seconds.
_LIGHT_PARAMETERS, _LIGHT_SIDE = 2_000_000, 64


@final
class Operations(TorchFunctionMode):
    """Counts 2 for each multiply-add of convolutions and fully connected layers while it is entered.

        2 * (elements of the output) * (elements of one output channel's weights)

    Biases, normalisation, activations and sums are not counted. torch.utils.flop_counter counts the same (a
    test holds them equal), and loads torch's compiler for it.

    Attributes:
        flops: The count so far.
        calls: How often such a layer was called.
    """

    def __init__(self) -> None:
        """Counts nothing yet."""
        super().__init__()
        self.flops = self.calls = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls a function of torch, and counts what it does where it is a layer's."""
        result = func(*args, **(kwargs or {}))
        if func in _LAYERS:
            weight = args[1] if len(args) > 1 else (kwargs or {})["weight"]
            self.calls += 1
            self.flops += 2 * result.numel() * math.prod(weight.shape[1:])
        return result


def operations(config: Network, **options: Any) -> Operations:
    """Returns the count of one image's forward pass in evaluation mode.

    Args:
        config: A configuration with classes, in_channels and input_size filled.
        options: Handed to the network's forward pass.

    Raises:
        ValueError: A field is None.
    """
    side = given(config, "input_size")
    net = on_meta(config)
    light = side <= _LIGHT_SIDE and sum(each.numel() for each in net.parameters()) <= _LIGHT_PARAMETERS
    if light:
        net = build(config).eval()
    _strip(net)
    image_1CHW = torch.zeros(1, given(config, "in_channels"), side, side, device="cpu" if light else "meta")
    counted = Operations()
    with counted, torch.no_grad():
        net(image_1CHW, **options)
    return counted


def _strip(net: nn.Module) -> None:
    """Takes batch normalisation out: it changes no shape, is not counted, and is slow on the meta device."""
    for part in net.modules():
        for name, child in part.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(part, name, nn.Identity())
