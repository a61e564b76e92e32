"""One step of a training: from a mini-batch to an update of the weights.

Shapes: B images of a mini-batch, C channels, H height, W width, P all parameters of the network.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from typing import Final, final

import torch
from torch import Tensor, nn

from workloads import predictions
from workloads.collective import Group
from workloads.configs import TrainConfig
from workloads.ghost import chunk_sizes, shares
from workloads.loss_scale import LossScale
from workloads.networks.drawn import Drawn
from workloads.networks.outputs import cross_entropy_sum
from workloads.normalisation import Ghost, Synchronised, install, running_statistics
from workloads.sgd import FlatSGD

# Classes above which the error among the five highest outputs is measured too: it says nothing of few.
TOP5_ABOVE: Final = 10
_HALF: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16}


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
        # on a CPU, filters with channels last make a step 8 % (8x8) to 40 % (32x32) faster
        self.optimizer = FlatSGD(network, config.optimizer, channels_last=device.type == "cpu")
        self._half = _HALF.get(config.precision)
        self._dtype = torch.float64 if config.precision == "float64" else torch.float32
        self.loss_scale = LossScale() if config.precision == "float16" else None
        classes = config.network.classes
        self.top5 = classes is not None and classes > TOP5_ABOVE
        # ranks that share statistics have them equal already
        apart = group is not None and config.ghost_batch is not None
        self._statistics = running_statistics(network) if apart else []

    def nothing(self) -> Tensor:
        """Returns what `learn` returns for no images."""
        return torch.zeros(4 if self.top5 else 3, dtype=torch.float64, device=self._device)

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
        with self._autocast():
            output = self.network(x_BCHW)
        if self._half is not None:
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

    def _autocast(self) -> AbstractContextManager[object]:
        if self._half is None:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=self._half)

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
