"""Every field that a study of image classification may vary, and the workload's `SPEC`. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal

from workloads import families
from workloads.api import Spec
from workloads.data.configs import FACTS, Data, Digits
from workloads.networks.configs import Network, ResNet
from workloads.networks.configs import canonical as canonical_network
from workloads.recipe import SGD, Schedule, Step, is_count, require


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training: data set, network and recipe.

    Defaults of the recipe are those of Zhao et al. 2016 (section 6.2 and their released code), but for
    the number of epochs (400 there), which fits the embedded data set.

    Attributes:
        data: Data set and its augmentation.
        network: Architecture.
        optimizer: Update rule.
        schedule: Learning rate over the training.
        epochs: Passes over the training split (Zhao et al.: 400 on CIFAR, 40 on SVHN).
        batch_size: Images in a mini-batch; the last of an epoch may be smaller (Zhao et al.: 64, as
            32 on each of two GPUs, whose batch statistics are apart; here they are of the whole).
        initialisation: "he": normal with fan-in for convolutions, uniform +-1/sqrt(fan-in) for the
            last layer (He et al. 2015, equation 10; Zhao et al., code).
    """

    data: Data = field(default_factory=Digits)
    network: Network = field(default_factory=ResNet)
    optimizer: SGD = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=Step)
    epochs: int = 8
    batch_size: int = 64
    initialisation: Literal["he"] = "he"

    def __post_init__(self) -> None:
        """Checks ranges."""
        require(
            is_count(self.epochs) and self.epochs >= 1, "epochs", self.epochs, "a whole number of at least 1"
        )
        require(
            is_count(self.batch_size) and self.batch_size >= 2,
            "batch_size",
            self.batch_size,
            "a whole number of at least 2 (batch normalisation needs two images)",
        )
        require(self.initialisation == "he", "initialisation", self.initialisation, "he")


def canonical(config: TrainConfig) -> TrainConfig:
    """Returns the one configuration that stands for all that mean the same computation.

    Fills the network's classes, channels and input size from the data set, and resolves "auto".

    Raises:
        ValueError: A network whose input size or classes are not those of the data set.
    """
    facts = FACTS[config.data.name]
    network = _on(config.network, config.data.name)
    data = config.data
    if data.augmentation == "auto":
        data = replace(data, augmentation=facts.auto)
    optimizer = config.optimizer
    if (
        optimizer.momentum == 0 and optimizer.nesterov
    ):  # without momentum there is nothing to look ahead along
        optimizer = replace(optimizer, nesterov=False)
    return replace(config, data=data, network=network, optimizer=optimizer)


@lru_cache(maxsize=4096)  # a study has far fewer networks than cells
def _on(network: Network, data: str) -> Network:
    """Returns the canonical network for a data set, its classes and input filled in."""
    facts = FACTS[data]
    for name in ("classes", "in_channels", "input_size"):
        got, known = getattr(network, name), getattr(facts, name)
        require(
            got is None or got == known,
            f"network.{name}",
            got,
            f"{known}, as {data} has, or null",
        )
    return canonical_network(
        replace(network, classes=facts.classes, in_channels=facts.in_channels, input_size=facts.input_size)
    )


def data_digest(config: TrainConfig) -> str:
    """Returns the constant digest of the data set that a configuration reads."""
    return FACTS[config.data.name].digest


SPEC: Final = Spec(
    name="classification",
    version=1,
    config=TrainConfig,
    metrics={
        "train": ("train_loss", "train_error", "validation_loss", "validation_error", "lr"),
        "test": ("test_loss", "test_error"),
    },
    families=families.FAMILIES,
    canonical=canonical,
    data_digest=data_digest,
    runtime="workloads.classification:WORKLOAD",
    describe="workloads.classification:describe",
)
