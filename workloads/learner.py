"""One step of a training: from a mini-batch to an update of the weights.

Shapes: B images of a mini-batch, C channels, H height, W width, P all parameters of the network.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from typing import Final, Protocol, final

import torch
from torch import Tensor, nn

from workloads import predictions
from workloads.collective import Group
from workloads.configs import TrainConfig
from workloads.data.sets import Images
from workloads.faster import channels_last, compiled
from workloads.ghost import chunk_sizes, shares
from workloads.loss_scale import LossScale
from workloads.networks.drawn import Drawn
from workloads.networks.outputs import cross_entropy_sum
from workloads.normalisation import Ghost, Synchronised, install, running_statistics
from workloads.placement import tensor_cores
from workloads.sgd import FlatSGD

# Classes above which the error among the five highest outputs is measured too: it says nothing of few.
TOP5_ABOVE: Final = 10
_HALF: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def has_top5(config: TrainConfig) -> bool:
    """Returns whether the error among the five highest outputs is measured."""
    return config.network.classes is not None and config.network.classes > TOP5_ABOVE


def nothing(top5: bool, device: torch.device) -> Tensor:
    """Returns [loss x images, errors, images] of no images, and a fourth where top-5 errors are counted."""
    return torch.zeros(4 if top5 else 3, dtype=torch.float64, device=device)


def half_of(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    """Returns what the forward pass in training runs in: half precision where the configuration says so."""
    half = _HALF.get(config.precision)
    return nullcontext() if half is None else torch.autocast(device.type, dtype=half)


class Learns(Protocol):
    """What a training asks of whatever learns for it.

    Attributes:
        top5: Whether the error among the five highest outputs is measured too.
        loss_scale: Of float16, or None.
    """

    top5: bool
    loss_scale: LossScale | None

    def nothing(self) -> Tensor:
        """Returns the sums of no images."""
        ...

    def outputs(self, split: Images) -> Tensor:
        """Returns the network's outputs for a whole split."""
        ...

    def momentum(self) -> Tensor:
        """Returns the momentum of all parameters, for a checkpoint."""
        ...

    def set_momentum(self, momentum_P: Tensor) -> None:
        """Continues with the momentum of a checkpoint."""
        ...


@final
class Learner:
    """A network in training, with its optimizer; one of several ranks, or alone.

    Several ranks learn from consecutive shares of each mini-batch. Gradients are summed over them in one
    go, for they lie in one vector, so the update is that of one process with the whole mini-batch.
    """

    def __init__(
        self, network: nn.Module, config: TrainConfig, device: torch.device, group: Group | None
    ) -> None:
        """Takes over a network, in training mode.

        Args:
            network: On the device, with its initial weights.
            config: Canonical configuration.
            device: Where it is.
            group: The ranks, or None for one alone.
        """
        if config.precision == "float64":
            network.double()
        if config.ghost_batch is not None:
            install(network, Ghost(config.ghost_batch))
        elif group is not None:
            install(network, Synchronised(group))
        self.network = network
        self._config, self._device, self._group = config, device, group
        self._drawn = [part for part in network.modules() if isinstance(part, Drawn)]
        # images need not be turned: a convolution takes the format of its filters
        self.optimizer = FlatSGD(network, config.optimizer, channels_last=channels_last(config, device))
        self._forward = compiled(network) if config.compile else network
        self._dtype = torch.float64 if config.precision == "float64" else torch.float32
        self.loss_scale = LossScale() if config.precision == "float16" else None
        self.top5 = has_top5(config)
        # ranks that share statistics have them equal already
        apart = group is not None and config.ghost_batch is not None
        self._statistics = running_statistics(network) if apart else []

    def outputs(self, split: Images) -> Tensor:
        """Returns the network's outputs for a whole split; see `predictions.outputs`."""
        return predictions.outputs(self.network, split)

    def momentum(self) -> Tensor:
        """Returns the momentum of all parameters, for a checkpoint."""
        return self.optimizer.momentum_P

    def set_momentum(self, momentum_P: Tensor) -> None:
        """Continues with the momentum of a checkpoint."""
        self.optimizer.momentum_P.copy_(momentum_P)

    def nothing(self) -> Tensor:
        """Returns what `learn` returns for no images."""
        return nothing(self.top5, self._device)

    def learn(self, x_BCHW: Tensor, y_B: Tensor, lr: float, modules: torch.Generator) -> Tensor:
        """Learns from a mini-batch and returns [loss x images, errors, images], float64, of the whole of it.

        With many classes the number of images whose class is not among the five highest outputs is fourth.

        Args:
            x_BCHW: Images of the whole mini-batch, on every rank.
            y_B: Their classes.
            lr: Learning rate.
            modules: The stream that says which parts of the network this mini-batch trains.
        """
        for part in self._drawn:
            part.draw(modules)
        if self._device.type == "cuda":
            # what a network draws on a GPU follows from the CPU's generator, which a checkpoint holds
            torch.cuda.manual_seed(int(torch.randint(2**62, ())))
        images = len(y_B)
        if self._group is not None:
            sizes = shares(images, self._config.ghost_batch, self._group.size)
            start, end = [0, *accumulate(sizes)][self._group.rank :][:2]
            x_BCHW, y_B = x_BCHW[start:end], y_B[start:end]
        self.optimizer.zero()
        sums = self.nothing()
        # without an image there is nothing to do, unless the others wait for statistics
        if len(y_B) or self._config.ghost_batch is None:
            self._backward(x_BCHW.to(self._dtype), y_B, images, sums)
        if self._group is not None:
            self._group.add(self.optimizer.gradients_P)
            sums = self._shared(len(y_B), sums)
        if self.loss_scale is None or self.loss_scale.unscale(self.optimizer.gradients_P):
            self.optimizer.step(lr)
        return sums

    def _backward(self, x_BCHW: Tensor, y_B: Tensor, images: int, sums: Tensor) -> None:
        with tensor_cores(self._config.tf32):
            self._learn_from(x_BCHW, y_B, images, sums)

    def _learn_from(self, x_BCHW: Tensor, y_B: Tensor, images: int, sums: Tensor) -> None:
        with half_of(self._config, self._device):
            output = self._forward(x_BCHW)
        if self._config.precision in _HALF:
            output = output.float()
        loss = cross_entropy_sum(output, y_B) if len(y_B) else output.sum()  # of nothing: 0
        weight = 1.0 if len(y_B) == images else len(y_B) / images
        if self.loss_scale is not None:
            weight *= self.loss_scale.value
        (loss if weight == 1.0 else loss * weight).backward()
        with torch.no_grad():
            log_BK = predictions.log_probabilities(self.network, output.detach())
            sums[0] += loss.detach().double() * len(y_B)
            sums[1] += (log_BK.argmax(1) != y_B).sum()
            sums[2] += len(y_B)
            if self.top5:
                sums[3] += predictions.top5_errors(log_BK, y_B)

    @torch.no_grad()
    def _shared(self, images: int, sums: Tensor) -> Tensor:
        """Returns the sums over all ranks, and leaves the ranks' running statistics at their chunks' mean."""
        assert self._group is not None
        chunks = len(chunk_sizes(images, self._config.ghost_batch)) if images else 0
        parts = [sums, sums.new_tensor([chunks])]
        parts += [each.reshape(-1).double() * chunks for each in self._statistics]
        packed = torch.cat(parts)
        self._group.add(packed)
        start = len(sums) + 1
        for each in self._statistics:
            each.copy_((packed[start : start + each.numel()] / packed[len(sums)]).view_as(each))
            start += each.numel()
        return packed[: len(sums)]
