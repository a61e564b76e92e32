"""Batch normalisation whose statistics are of a part of the mini-batch, or of all ranks' images.

Shapes: N images, C channels, H height, W width, G chunks.
Source: Ioffe and Szegedy 2015, algorithm 1; Hoffer et al. 2017, algorithm 1 (ghost statistics).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.collective import Group
from workloads.ghost import chunk_sizes
from workloads.networks.fused_drawn import SomeNorm
from workloads.networks.path_ensemble import RunningStatistics, SharedConvBN

Normalise: TypeAlias = Callable[
    [Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None, bool, float, float], Tensor
]


@final
class Ghost:
    """Stands in for `torch.nn.functional.batch_norm`: each chunk of the mini-batch has its own statistics.

    Running statistics become the mean over the chunks of what each alone would have made of them, as where a
    framework averages its devices' copies after each step.
    """

    def __init__(self, images: int) -> None:
        """Takes the images of a chunk; see `workloads.ghost.chunk_sizes`."""
        self._images = images

    def __call__(
        self,
        x_NCHW: Tensor,
        mean_C: Tensor | None,
        variance_C: Tensor | None,
        weight_C: Tensor | None,
        bias_C: Tensor | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Returns the normalised images; in training it updates the running statistics in place."""
        sizes = chunk_sizes(len(x_NCHW), self._images)
        if not training or len(sizes) == 1:
            return F.batch_norm(x_NCHW, mean_C, variance_C, weight_C, bias_C, training, momentum, eps)
        # A call a chunk: gathering the chunks into channels of one call costs more than it saves.
        means_GC = [None if mean_C is None else mean_C.clone() for _ in sizes]
        variances_GC = [None if variance_C is None else variance_C.clone() for _ in sizes]
        parts = [
            F.batch_norm(part, mean, variance, weight_C, bias_C, True, momentum, eps)
            for part, mean, variance in zip(
                torch.split(x_NCHW, list(sizes)), means_GC, variances_GC, strict=True
            )
        ]
        for running, several in ((mean_C, means_GC), (variance_C, variances_GC)):
            if running is not None:
                running.copy_(torch.stack([each for each in several if each is not None]).mean(0))
        return torch.cat(parts)


@final
class Synchronised:
    """Stands in for `torch.nn.functional.batch_norm`: statistics are of all ranks' images.

    On any device, and for ranks without an image; `nn.SyncBatchNorm` does neither.
    """

    def __init__(self, group: Group) -> None:
        """Takes the ranks."""
        self._group = group

    def __call__(
        self,
        x_NCHW: Tensor,
        mean_C: Tensor | None,
        variance_C: Tensor | None,
        weight_C: Tensor | None,
        bias_C: Tensor | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Returns the normalised images; in training it updates the running statistics in place."""
        if not training:
            return F.batch_norm(x_NCHW, mean_C, variance_C, weight_C, bias_C, False, momentum, eps)
        wide_NCHW = x_NCHW if x_NCHW.dtype == torch.float64 else x_NCHW.float()
        over = (0, 2, 3)
        values = wide_NCHW.new_tensor([wide_NCHW.numel() / wide_NCHW.shape[1]])  # of a channel, on this rank
        totals = self._group.sum(torch.cat([wide_NCHW.sum(over), values]))
        count = totals[-1].detach()
        batch_mean_C = totals[:-1] / count
        centred_NCHW = wide_NCHW - batch_mean_C[:, None, None]
        batch_variance_C = self._group.sum(centred_NCHW.square().sum(over)) / count
        y_NCHW = centred_NCHW * (batch_variance_C + eps).rsqrt()[:, None, None]
        if weight_C is not None:
            y_NCHW = y_NCHW * weight_C[:, None, None]
        if bias_C is not None:
            y_NCHW = y_NCHW + bias_C[:, None, None]
        with torch.no_grad():
            if mean_C is not None:
                mean_C.lerp_(batch_mean_C.to(mean_C.dtype), momentum)
            if variance_C is not None:
                unbiased_C = batch_variance_C * (count / (count - 1))
                variance_C.lerp_(unbiased_C.to(variance_C.dtype), momentum)
        return y_NCHW.to(x_NCHW.dtype)


@final
class _BatchNorm(nn.BatchNorm2d):
    """Batch normalisation by a function of one's own; its state is that of `nn.BatchNorm2d`."""

    def __init__(self, like: nn.BatchNorm2d, normalise: Normalise) -> None:
        super().__init__(
            like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats, device="meta"
        )
        for name, value in (*like.named_parameters(recurse=False), *like.named_buffers(recurse=False)):
            setattr(self, name, value)
        self.training = like.training
        self._normalise = normalise

    def forward(self, input: Tensor) -> Tensor:
        """Returns the normalised images."""
        assert self.momentum is not None
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        training = self.training or self.running_mean is None
        return self._normalise(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training,
            self.momentum,
            self.eps,
        )


def install(network: nn.Module, normalise: Normalise) -> None:
    """Makes every batch normalisation of a network use a function in place of torch's.

    Args:
        network: Its parameters, buffers and their names stay.
        normalise: Called as `torch.nn.functional.batch_norm` is.
    """
    made: dict[int, _BatchNorm] = {}  # a normalisation may sit at two places
    for part in list(network.modules()):
        if isinstance(part, SharedConvBN | SomeNorm):
            part.normalise = normalise
        for name, child in part.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(part, name, made.setdefault(id(child), _BatchNorm(child, normalise)))


def running_statistics(network: nn.Module) -> list[Tensor]:
    """Returns the running means and variances of a network's batch normalisations."""
    found: list[Tensor] = []
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            found += [each for each in (part.running_mean, part.running_var) if each is not None]
        elif isinstance(part, RunningStatistics):
            found += [part.mean, part.variance]
    return found
