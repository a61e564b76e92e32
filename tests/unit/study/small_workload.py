"""A torch-free workload with the shape of the real one: kinds, a canonical form, families."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from workloads.api import Family, Spec

PATHS = ("LLL", "RLL", "LRL", "LLR", "RRL", "RLR", "LRR", "RRR")


def _depth(depth: int) -> None:
    if depth < 8 or (depth - 2) % 12:
        raise ValueError(f"depth {depth} does not divide; allowed: 14, 26, 38, 50, ...")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    name: Literal["plain"] = "plain"
    depth: int = 14
    width: float = 1.0
    classes: int | None = None
    plain_depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNet:
    name: Literal["resnet"] = "resnet"
    depth: int = 14
    width: float = 1.0
    classes: int | None = None
    plain_depth: int | None = None
    drop_path: str = "none"
    dropout: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _depth(self.depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    name: Literal["component"] = "component"
    depth: int = 14
    width: float = 1.0
    classes: int | None = None
    path: str = "RRR"

    def __post_init__(self) -> None:
        _depth(self.depth)
        if self.path not in PATHS:
            raise ValueError(f"path {self.path!r} is none of {', '.join(PATHS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathEnsemble:
    name: Literal["path_ensemble"] = "path_ensemble"
    depth: int = 14
    width: float = 1.0
    classes: int | None = None
    members: str | tuple[str, ...] = "all"

    def __post_init__(self) -> None:
        _depth(self.depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    name: Literal["digits", "cifar10", "cifar100", "svhn"] = "digits"
    augmentation: Literal["none", "plus"] = "plus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError(f"lr must be > 0, got {self.lr}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    data: Data = field(default_factory=Data)
    network: Plain | ResNet | Component | PathEnsemble = field(default_factory=ResNet)
    optimizer: Optimizer = field(default_factory=Optimizer)
    epochs: int = 10
    batch_size: int = 64
    note: str = ""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be >= 1, got {self.epochs}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {self.batch_size}")


CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100, "svhn": 10}


def canonical(config: TrainConfig) -> TrainConfig:
    network: Any = replace(config.network, classes=CLASSES[config.data.name])
    if isinstance(network, Component) and network.path == "LLL":
        network = replace(network, depth=14)  # the same five layers at every depth
    if getattr(network, "plain_depth", None) is not None:
        network = replace(network, depth=network.plain_depth, plain_depth=None)
    return replace(config, network=network)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    member: str

    def __post_init__(self) -> None:
        if self.member not in PATHS:
            raise ValueError(f"member {self.member!r} is none of {', '.join(PATHS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    combine: Literal["probabilities", "logits"] = "probabilities"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    module: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Swaps:
    swaps: int = 1


def needs_ensemble(config: TrainConfig, parameters: object) -> str | None:
    if isinstance(config.network, PathEnsemble):
        return None
    return f"needs network.name path_ensemble, got {config.network.name}"


TEST = ("test_loss", "test_error")
SPEC = Spec(
    name="small",
    version=1,
    config=TrainConfig,
    metrics={"train": ("train_loss", "train_error", "validation_error"), "test": TEST},
    families={
        "members": Family(parameters=Member, metrics=TEST, unsuited=needs_ensemble),
        "without": Family(parameters=Member, metrics=TEST, unsuited=needs_ensemble),
        "vote": Family(parameters=Vote, metrics=TEST, gathers=True),
        "delete_one": Family(parameters=Module, metrics=TEST),
        "delete_random": Family(parameters=Count, metrics=TEST, random=True),
        "reorder": Family(parameters=Swaps, metrics=(*TEST, "kendall_tau"), random=True),
        "layers": Family(parameters=Module, metrics=("strength",), coords=("layer",)),
    },
    canonical=canonical,
    data_digest=lambda config: f"digest of {config.data.name}",
    unfused=lambda config: None,
    runtime="tests.unit.study.small_workload:NOTHING",
)
