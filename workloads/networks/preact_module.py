"""A residual module with normalisation and ReLU before the convolutions; gated, a highway's.

Shapes: N images, C channels, H height, W width.
Source: Veit et al. 2016, equations 2 and 3, after He et al. 2016 (identity mappings); highway networks:
Srivastava et al. 2015.
"""

from __future__ import annotations

from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.layers import Norm, sided


@final
class Gate(nn.Module):
    """The share of a highway module's branch in its output, for each value."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, bias: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.initial_bias = bias

    def reset_parameters(self) -> None:
        """Leaves the bias at its initial value."""
        assert self.conv.bias is not None
        nn.init.constant_(self.conv.bias, self.initial_bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns values between 0 and 1."""
        return torch.sigmoid(self.conv(x_NCHW))


@final
class PreActModule(nn.Module):
    """A residual module: its output is skip(x) + branch(x).

    Args:
        inputs: Input channels.
        outputs: Output channels.
        middle: Channels between a bottleneck's 1x1 convolutions, or None for two 3x3 convolutions.
        stride: Of the first 3x3 convolution.
        shortcut: "A" or "B" where the channels change; see `PreActResNet`.
        gate_bias: Initial bias of a highway gate, or None for no gate.
        norm: Constants of batch normalisation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        middle: int | None = None,
        stride: int = 1,
        shortcut: str = "B",
        gate_bias: float | None = None,
        norm: Norm,
    ) -> None:
        super().__init__()
        if middle is None:
            sizes = [(inputs, outputs, 3, stride), (outputs, outputs, 3, 1)]
        else:
            sizes = [(inputs, middle, 1, 1), (middle, middle, 3, stride), (middle, outputs, 1, 1)]
        self.bns = nn.ModuleList(
            nn.BatchNorm2d(size[0], eps=norm.eps, momentum=norm.momentum) for size in sizes
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(source, target, kernel, stride=step, padding=kernel // 2, bias=False)
            for source, target, kernel, step in sizes
        )
        self.stride, self.grows = stride, outputs - inputs
        changes = inputs != outputs or stride != 1
        self.projection = (
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if changes and shortcut == "B" else None
        )
        self.gate = None if gate_bias is None else Gate(inputs, outputs, stride=stride, bias=gate_bias)
        self.factor = 1.0  # of the branch in evaluation mode
        self.inputs, self.sided = inputs, False

    def skip(self, x_NCHW: Tensor) -> Tensor:
        """Returns what the skip connection carries; a highway's is gated."""
        if self.projection is None and self.gate is None:
            return self._short(x_NCHW)
        active_NCHW = self._active(x_NCHW)
        skip_NCHW = self._skip(x_NCHW, active_NCHW)
        return skip_NCHW if self.gate is None else skip_NCHW * (1 - self.gate(active_NCHW))

    def branch(self, x_NCHW: Tensor) -> Tensor:
        """Returns what the residual branch adds; a highway's is gated."""
        active_NCHW = self._active(x_NCHW)
        branch_NCHW = self._branch(active_NCHW)
        return branch_NCHW if self.gate is None else branch_NCHW * self.gate(active_NCHW)

    def forward(self, x_NCHW: Tensor, deleted: bool = False) -> Tensor:
        """Returns the module's output, or only its skip connection's.

        Args:
            x_NCHW: Input.
            deleted: Whether the branch is left out.
        """
        if deleted:
            return self.skip(x_NCHW)
        # normalised once: in training every call moves the running statistics
        active_NCHW = self._active(x_NCHW)
        skip_NCHW, branch_NCHW = self._skip(x_NCHW, active_NCHW), self._branch(active_NCHW)
        if self.gate is not None:
            gate_NCHW = self.gate(active_NCHW)
            return cast(Tensor, branch_NCHW * gate_NCHW + skip_NCHW * (1 - gate_NCHW))
        return skip_NCHW + branch_NCHW

    def _active(self, x_NCHW: Tensor) -> Tensor:
        return F.relu(self.bns[0](x_NCHW), inplace=True)

    def _branch(self, active_NCHW: Tensor) -> Tensor:
        y_NCHW = self.convs[0](active_NCHW)
        for bn, conv in zip(list(self.bns)[1:], list(self.convs)[1:], strict=True):
            y_NCHW = conv(F.relu(bn(y_NCHW), inplace=True))
        return cast(Tensor, y_NCHW if self.training or self.factor == 1.0 else y_NCHW * self.factor)

    def _skip(self, x_NCHW: Tensor, active_NCHW: Tensor) -> Tensor:
        if self.projection is not None:
            return cast(Tensor, self.projection(active_NCHW))
        return self._short(x_NCHW)

    def _short(self, x_NCHW: Tensor) -> Tensor:
        if self.stride != 1:
            x_NCHW = x_NCHW[:, :, :: self.stride, :: self.stride]
        if not self.grows:
            return x_NCHW
        if not self.sided:
            return F.pad(x_NCHW, (0, 0, 0, 0, 0, self.grows))
        return F.pad(sided(x_NCHW, self.inputs), (0, 0, 0, 0, 0, self.grows)).flatten(1, 2)
