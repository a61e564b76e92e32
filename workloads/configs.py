"""Every field that a study of image classification may vary, and its canonical form. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from workloads.data.configs import Data, DataFacts, Digits, facts_of
from workloads.ghost import chunk_sizes
from workloads.initialisation import He, Initialisation
from workloads.networks.configs import Network, ResNet
from workloads.networks.configs import canonical as canonical_network
from workloads.probe_kinds import PROBED
from workloads.ranges import count, is_count, one_of, require
from workloads.recipe import MEMORY_FORMATS, PRECISIONS, SGD, MemoryFormat, Precision
from workloads.schedules import OneCycle, Schedule, Step, Warmup


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
        batch_size: Images in a mini-batch; the last of an epoch may be smaller.
        initialisation: Distribution of the initial weights.
        ghost_batch: Images that batch normalisation takes statistics of: each consecutive chunk of so many
            images of a mini-batch has its own, and running statistics are the mean over the chunks. None: the
            whole mini-batch (Zhao et al.: 32 on each of two GPUs; see `recipes`).
        precision: Of the forward and backward pass in training: "bfloat16" and "float16" compute what is safe
            in half precision, with weights, batch statistics and the update in float32, and float16 with a
            loss scale; "float64" is for tests. Validation and test are in the weights' own precision.
        memory_format: How filters lie in memory while training, and so what is computed from them:
            "channels_last", "contiguous" (the plain reference) or "auto", which is channels_last on a CPU and
            contiguous on a GPU. It moves rounding, nothing else.
        tf32: Whether a GPU's tensor cores may round the factors of float32 products to 10 bits in training.
        compile: Whether torch.compile compiles the network for training; its sums are in another order. It
            takes seconds to minutes for each architecture and size of mini-batch.
        evaluate_every: Epochs between two looks at the validation split; the last epoch always has one.
        probe_every: Epochs between two looks inside the network (`probes`), the last epoch having one too; 0
            for none. It changes nothing that is learnt.
    """

    data: Data = field(default_factory=Digits)
    network: Network = field(default_factory=ResNet)
    optimizer: SGD = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=Step)
    epochs: int = 8
    batch_size: int = 64
    initialisation: Initialisation = field(default_factory=He)
    ghost_batch: int | None = None
    precision: Precision = "float32"
    memory_format: MemoryFormat = "auto"
    tf32: bool = False
    compile: bool = False
    evaluate_every: int = 1
    probe_every: int = 0

    def __post_init__(self) -> None:
        """Checks ranges."""
        count("epochs", self.epochs, least=1)
        require(
            is_count(self.batch_size) and self.batch_size >= 2,
            "batch_size",
            self.batch_size,
            "a whole number of at least 2 (batch normalisation needs two images)",
        )
        if self.initialisation == "he":  # type: ignore[comparison-overlap]  # checkpoints of earlier releases
            object.__setattr__(self, "initialisation", He())
        require(
            isinstance(self.initialisation, Initialisation),
            "initialisation",
            self.initialisation,
            "a mapping with name he, xavier, normal or orthogonal",
        )
        require(
            self.ghost_batch is None or (is_count(self.ghost_batch) and self.ghost_batch >= 2),
            "ghost_batch",
            self.ghost_batch,
            "a whole number of at least 2, or null for the whole mini-batch",
        )
        one_of("precision", self.precision, PRECISIONS)
        one_of("memory_format", self.memory_format, MEMORY_FORMATS)
        require(isinstance(self.tf32, bool), "tf32", self.tf32, "true or false")
        require(isinstance(self.compile, bool), "compile", self.compile, "true or false")
        count("evaluate_every", self.evaluate_every, least=1)
        count("probe_every", self.probe_every, least=0)


_NONE: Final = Warmup()


def canonical(config: TrainConfig) -> TrainConfig:
    """Returns the one configuration that stands for all that mean the same computation.

    Fills the network's classes, channels and input size from the data set, and resolves "auto".

    Raises:
        ValueError: A network whose input size or classes are not those of the data set, or one that cannot be
            looked into as `probe_every` wants.
    """
    if config.probe_every and config.network.name not in PROBED:
        require(
            False,
            "probe_every",
            config.probe_every,
            f"0 for network.name {config.network.name}: only {', '.join(PROBED)} can be looked into",
        )
    facts = facts_of(config.data)
    network = _on(config.network, config.data.name, facts)
    data = config.data
    if data.augmentation == "auto":
        data = replace(data, augmentation=facts.auto)  # type: ignore[arg-type] # each kind has its own
    schedule = config.schedule
    if not isinstance(schedule, OneCycle) and schedule.warmup != _NONE:
        warmup = schedule.warmup
        if not (warmup.steps or warmup.fraction):  # then its form and start mean nothing
            schedule = replace(schedule, warmup=_NONE)
    ghost = config.ghost_batch
    if ghost is not None and len(chunk_sizes(config.batch_size, ghost)) == 1:
        ghost = None
    return replace(
        config,
        data=data,
        network=network,
        optimizer=_optimizer(config.optimizer),
        schedule=schedule,
        ghost_batch=ghost,
        evaluate_every=min(config.evaluate_every, config.epochs),
        probe_every=min(config.probe_every, config.epochs),
    )


@lru_cache(maxsize=256)
def _optimizer(optimizer: SGD) -> SGD:
    """Returns the optimizer without what means nothing: looking ahead without momentum, parts of no decay."""
    return replace(
        optimizer,
        nesterov=optimizer.nesterov and optimizer.momentum > 0,
        decay=optimizer.decay if optimizer.weight_decay > 0 else "all",
    )


@lru_cache(maxsize=4096)  # a study has far fewer networks than cells
def _on(network: Network, data: str, facts: DataFacts) -> Network:
    """Returns the canonical network for a data set, its classes and input filled in."""
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


def pace(config: TrainConfig) -> tuple[object, ...]:
    """Returns what the duration of a training step follows from."""
    step = config.precision, config.memory_format, config.tf32, config.compile
    return config.data, config.network, config.batch_size, config.ghost_batch, *step


def data_digest(config: TrainConfig) -> str:
    """Returns the constant digest of the data set that a configuration reads."""
    return facts_of(config.data).digest
