"""One step of the trainings of several seeds, computed as one network.

Shapes: B images of a mini-batch, K replicas, L classes, M members of an ensemble, P all parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads import predictions
from workloads.configs import TrainConfig
from workloads.data.sets import Images
from workloads.faster import channels_last
from workloads.learner import half_of, has_top5, nothing
from workloads.loss_scale import LossScale
from workloads.networks.fused import Repeated, apart, bind, fuse
from workloads.networks.fused_drawn import drawn
from workloads.normalisation import Ghost, install
from workloads.placement import tensor_cores
from workloads.sgd import FlatSGD


@final
class FusedLearner:
    """Networks of several seeds in training, as one with one optimizer.

    Each replica's own network is a view of its part; the update of every number is that of a learner alone.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        config: TrainConfig,
        device: torch.device,
        generators: Sequence[torch.Generator],
    ) -> None:
        """Takes over networks in training mode.

        Args:
            networks: On the device, with their initial weights. What their `draw` decides is what they leave
                out of the next mini-batch.
            config: Canonical configuration of all of them, none that `unfused` has anything against.
            device: Where they are.
            generators: Each network's stream of dropout masks.
        """
        self._replicas, self._networks = len(networks), list(networks)
        self._whole = drawn(fuse(networks), networks, generators)
        if config.precision == "float64":
            self._whole.double()
        if config.ghost_batch is not None:
            install(self._whole, Ghost(config.ghost_batch))
        self._channels_last = channels_last(config, device)
        self._optimizer = FlatSGD(self._whole, config.optimizer, channels_last=self._channels_last)
        bind(self._whole, networks)
        self._config, self._device, self._top5 = config, device, has_top5(config)
        self._dtype = torch.float64 if config.precision == "float64" else torch.float32
        self._repeated = Repeated(self._whole, self._replicas)
        self._outputs: dict[int, Tensor] = {}  # of a split, until the next step

    def learn(self, batches: Sequence[tuple[Tensor, Tensor]], lr: float) -> Tensor:
        """Learns from a mini-batch for each replica; returns the sums of `Learner.learn`, (K, 3 or 4).

        Args:
            batches: Images x_BCHW and classes y_B for each replica, of equal shapes.
            lr: Learning rate.
        """
        self._outputs.clear()
        x_BXHW = torch.cat([x_BCHW for x_BCHW, _ in batches], 1).to(self._dtype)
        if self._channels_last:
            x_BXHW = x_BXHW.contiguous(memory_format=torch.channels_last)
        y_KB = torch.stack([y_B for _, y_B in batches])
        self._optimizer.zero()
        with tensor_cores(self._config.tf32):
            with half_of(self._config, self._device):
                output = apart(self._whole(x_BXHW), self._replicas)
            output = output.to(self._dtype)
            loss_K = self._losses(output, y_KB)
            # replicas share nothing: each has the gradient of its own loss
            torch.autograd.backward([loss_K.sum()])
        with torch.no_grad():
            sums = self._sums(output.detach(), loss_K.detach(), y_KB)
        self._optimizer.step(lr)
        return sums

    def outputs(self, split: Images, index: int) -> Tensor:
        """Returns one network's outputs for a whole split; those of all are computed at the first call."""
        if id(split) not in self._outputs:
            self._outputs[id(split)] = predictions.outputs(self._repeated, split)
        return self._outputs[id(split)][index]

    def momentum(self, index: int) -> Tensor:
        """Returns one network's momentum as its learner alone has it."""
        return self._optimizer.momentum_P[self._optimizer.positions(index, self._replicas)]

    def set_momentum(self, index: int, momentum_P: Tensor) -> None:
        """Continues one network with the momentum of a checkpoint."""
        own = self._optimizer.positions(index, self._replicas)
        self._optimizer.momentum_P[own] = momentum_P.to(self._optimizer.momentum_P.device)

    def _losses(self, output: Tensor, y_KB: Tensor) -> Tensor:
        """Returns each replica's loss, an ensemble's summed over its members; see `cross_entropy_sum`."""
        *ahead, _ = output.shape  # (K, B), or (K, M, B)
        targets = y_KB if len(ahead) == 2 else y_KB[:, None].expand(*ahead)
        losses = F.cross_entropy(output.flatten(0, -2), targets.flatten(), reduction="none")
        return losses.view(self._replicas, -1).sum(1) / y_KB.shape[1]

    def _sums(self, output: Tensor, loss_K: Tensor, y_KB: Tensor) -> Tensor:
        images = y_KB.shape[1]
        # replicas as further images: (K * B, L), or (M, K * B, L)
        rows = output.flatten(0, 1) if output.dim() == 3 else output.transpose(0, 1).flatten(1, 2)
        log_NL = predictions.log_probabilities(self._networks[0], rows)
        wrong_KB = (log_NL.argmax(1) != y_KB.flatten()).view_as(y_KB)
        parts = [loss_K.double() * images, wrong_KB.sum(1), torch.full_like(loss_K, images)]
        if self._top5:
            parts.append(
                torch.stack(
                    [
                        predictions.top5_errors(log_BL, y_B)
                        for log_BL, y_B in zip(log_NL.view(*y_KB.shape, -1), y_KB, strict=True)
                    ]
                )
            )
        return torch.stack([each.double() for each in parts], 1)


@final
class Member:
    """What one replica's training takes for its learner."""

    def __init__(self, network: nn.Module, config: TrainConfig, device: torch.device) -> None:
        """Takes the replica's network; `join` says what learns for it."""
        self.network, self._device = network, device
        self.top5 = has_top5(config)
        self.loss_scale: LossScale | None = None
        self._whole: FusedLearner | None = None
        self._index = 0

    def join(self, whole: FusedLearner, index: int) -> None:
        """Makes it a part of a fused learner."""
        self._whole, self._index = whole, index

    def nothing(self) -> Tensor:
        """Returns the sums of no images."""
        return nothing(self.top5, self._device)

    def outputs(self, split: Images) -> Tensor:
        """Returns the network's outputs for a whole split."""
        return self._learner.outputs(split, self._index)

    def momentum(self) -> Tensor:
        """Returns the momentum of all parameters, for a checkpoint."""
        return self._learner.momentum(self._index)

    def set_momentum(self, momentum_P: Tensor) -> None:
        """Continues with the momentum of a checkpoint."""
        self._learner.set_momentum(self._index, momentum_P)

    @property
    def _learner(self) -> FusedLearner:
        assert self._whole is not None
        return self._whole
