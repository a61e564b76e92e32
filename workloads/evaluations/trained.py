"""A trained network and what it says about the test split, computed once however often it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
from torch import nn

from workloads import checkpoint, predictions
from workloads.configs import TrainConfig
from workloads.data import sets
from workloads.networks.build import build


@final
class Trained:
    """A network from a checkpoint.

    Shapes: M members, N test images, K classes.

    Attributes:
        folder: The checkpoint.
        config: Canonical configuration of its training.
        network: In evaluation mode, on the device.
        train: The training split of its data set.
        test: The test split.
    """

    def __init__(self, folder: Path, *, data: Path, device: torch.device) -> None:
        """Loads a checkpoint and its data set."""
        self.folder = folder
        self.config: TrainConfig = checkpoint.read_config(folder)[0]
        self.network: nn.Module = build(self.config.network)
        self.network.load_state_dict(checkpoint.read_network(folder))
        self.network.to(device).eval()
        loaded = sets.load(self.config.data, data, device)
        self.train: sets.Images = loaded.train
        self.test: sets.Images = loaded.test
        self._output: torch.Tensor | None = None

    @property
    def bytes(self) -> int:
        """Returns the size of its weights and buffers."""
        return sum(each.numel() * each.element_size() for each in self.network.state_dict().values())

    def output(self) -> torch.Tensor:
        """Returns its output for the test split, (N, K) or (M, N, K), float64, computed at the first call."""
        if self._output is None:
            self._output = predictions.outputs(self.network, self.test)
        return self._output
