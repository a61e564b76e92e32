"""The seam between a workload and whoever runs it: standard library only.

A workload is a training function and an evaluation function that *yield* reports. They are never
handed a context object, a tracker or a cluster handle, so the loop

    for report in WORKLOAD.train(config, seeds=[0], data=Path("."), resume={}, placement=Placement()):
        print(report)

is a whole stand-alone script.
"""

from __future__ import annotations

import importlib
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, Union, get_args, get_origin

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Coordinate: TypeAlias = int | str
T = TypeVar("T")

SECRET = re.compile(r"\$\{secret:([A-Za-z_][A-Za-z0-9_]*)\}")  # how a study refers to a secret


class Secret(str):
    """A text with a secret in it, where a study says `${secret:NAME}`: text like any other to a workload.

    `repr`, `to_plain` and pickles have the reference in place of the value, so that neither a message nor a
    checkpoint's config nor another process gets it by mistake.

    Attributes:
        reference: As the study says it.
    """

    reference: str

    def __new__(cls, value: str, reference: str) -> Secret:
        """Returns the value, which remembers how it is referred to."""
        made = super().__new__(cls, value)
        made.reference = reference
        return made

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self.reference,)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a computation is placed, never what is computed: it is no part of a trial's identity.

    Rounding may follow it, so it is recorded with the result.

    Attributes:
        threads: CPU threads the computation may use.
        devices: Torch device names, one for each local rank.
        memory_fraction: Share of a device's memory, or None for all of it.
        fused: Whether the networks of a training's seeds are computed as one; asked for only where
            `Spec.unfused` says nothing against it.
    """

    threads: int = 1
    devices: tuple[str, ...] = ("cpu",)
    memory_fraction: float | None = None
    fused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One test-time condition on one or several trained networks.

    Attributes:
        family: Name of the family (a key of `Spec.families`).
        parameters: The family's parameters, plain values, defaults may be left out.
        draw: Number of the random instance; 0 where the family draws nothing.
        seed: Seed of the networks' training; random families seed their generator by
            (seed, family, draw), so that draws pair across cells.
    """

    family: str
    parameters: Mapping[str, Json]
    draw: int = 0
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a workload yields, at least every 10 s so that it can be stopped.

    Attributes:
        index: Position of the seed (training) or of the condition (evaluation) it belongs to.
        evaluation: "train" for points of the training curves, "test" for the single last report of
            a training (it ends that index, and its `save` is always taken). Ignored when evaluating.
        step: Position on the curve's axis; the classification workload counts finished epochs.
        coords: Dimensions that the workload adds to the observation, such as {"layer": 7}.
        metrics: Metric name -> value, in natural units (errors as fractions). May be empty: such a
            report only offers a checkpoint and a place to stop.
        save: Writes a complete checkpoint of this index into an existing empty directory, the
            configuration included, or None when there is nothing to save. It must be called before
            the generator is resumed, or not at all.
        progress: Share of this index's work that is done, 0 to 1, or None when unknown.
        diverged: The training of this index became non-finite and has ended here: an outcome, not an
            error. A non-finite metric value in a training report means the same.
        notes: How it was computed, plain values by name, for the result's provenance; later ones replace
            earlier ones of the same name.
    """

    index: int = 0
    evaluation: Literal["train", "test"] = "train"
    step: int = 0
    coords: Mapping[str, Coordinate] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    save: Callable[[Path], None] | None = None
    progress: float | None = None
    diverged: bool = False
    notes: Mapping[str, Json] = field(default_factory=dict)


class Workload(Protocol):
    """What `Spec.runtime` names: two generators."""

    def train(
        self,
        config: Any,
        *,
        seeds: Sequence[int],
        data: Path,
        resume: Mapping[int, Path],
        placement: Placement,
    ) -> Iterator[Report]:
        """Trains one network for each seed.

        Args:
            config: An instance of `Spec.config`.
            seeds: One seed for each network; `Report.index` is a position in it.
            data: Directory of the data sets.
            resume: Seed index -> directory of a checkpoint to continue from.
            placement: Threads and devices.
        """
        ...

    def evaluate(
        self,
        checkpoints: Sequence[Path],
        conditions: Sequence[Condition],
        *,
        data: Path,
        placement: Placement,
    ) -> Iterator[Report]:
        """Evaluates trained networks under each condition, in order; indexes never decrease.

        Args:
            checkpoints: Directories of finished trainings: one, or all members of a gather in the
                order of the gathered factor's levels.
            conditions: What to measure; `Report.index` is a position in it.
            data: Directory of the data sets.
            placement: Threads and devices.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An amount of computation, to be compared with other amounts on the same machine.

    Attributes:
        flops: Floating-point operations: what takes the time where they are many at once.
        operations: Calls of layers: what takes the time where each is small.
    """

    flops: float
    operations: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a training by some config comes to, counted before it is done.

    Attributes:
        train: All of it: data set, epochs, looks at the validation split and the test.
        test: One pass over the test split, of which evaluations of the network are multiples.
    """

    train: Work
    test: Work


def _always_suited(config: Any, parameters: Any) -> str | None:
    return None


def _never_fused(config: Any) -> str | None:
    return "the workload trains the networks of several seeds one after another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of test-time conditions, as known without torch.

    Attributes:
        parameters: Frozen dataclass of the family's parameters; ValueError from its
            `__post_init__` says what is allowed.
        metrics: Names of the metrics that it reports.
        coords: Dimensions that its reports add.
        gathers: Whether it takes the checkpoints of several networks.
        random: Whether draws differ.
        unsuited: Given the config of the networks' training and an instance of `parameters`, why
            this condition cannot be measured on them, or None when it can.
    """

    parameters: type
    metrics: tuple[str, ...]
    coords: tuple[str, ...] = ()
    gathers: bool = False
    random: bool = False
    unsuited: Callable[[Any, Any], str | None] = _always_suited


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Everything about a workload that planning needs; importing it loads no torch.

    Attributes:
        name: The name that a study's `workload:` gives.
        version: Raised when a default or the meaning of a config changes; part of identity.
        config: Frozen dataclass of the training's configuration. A field that chooses between
            kinds is annotated with a union of frozen dataclasses that each have a field
            `name: Literal[...]` (see `kinds`).
        metrics: Evaluation ("train", "test") -> names of the metrics reported there.
        coords: Evaluation ("train", "test") -> dimensions that some of its reports add.
        families: Family name -> family.
        recipes: Name -> a config whose values stand for what a study does not say, when its config
            has `recipe: NAME`. A config class of a workload with recipes has no field `recipe`.
        canonical: Maps configs that mean the same computation to one, and fills what depends on
            other fields (class count from the data set, say).
        data_digest: Digest of the data a config reads; constant for known sets.
        pace: The part of a canonical config that the duration of a training step follows from.
        unfused: Why the networks of a canonical config's seeds cannot be computed as one, or None when
            they can (see `Placement.fused`).
        try_fused: "module:function" from (config, replicas, data, placement) to what a few steps take, which
            train nothing: {"alone_ms", "together_ms"}, or {"reason"} where trying is not worth it;
            needed where `unfused` is given.
        runtime: "module:NAME" of the `Workload`.
        data_sets: "module" with `NAMES`, and with `check(name, folder)` and `fetch(name, folder)` that return
            part -> number of images; with `described(name, folder)` too where a study must say more of a set
            than its name: field of its config -> value. Or empty.
        estimate: "module:function" from a config to its `Cost`, None where only data tell it; or empty.
        checkpoint_bytes: "module:function" from a config to the bytes of a complete checkpoint, or empty.
        describe: "module:function" from a config to {"parameters", "longest_path", "flops",
            "paths"}, or empty when the workload describes nothing.
        details: "module:function" from a config to what `orch model` says besides: {"path_lengths":
            length -> number of ways, "printed": [{"figure", "source", "reproduced", "note"}],
            "notes": [text]}; or empty.
        picture: "module:function" from a config to an SVG drawing of the network, or empty.
    """

    name: str
    version: int
    config: type
    metrics: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    families: Mapping[str, Family] = field(default_factory=dict)
    recipes: Mapping[str, Any] = field(default_factory=dict)
    canonical: Callable[[Any], Any] = lambda config: config
    data_digest: Callable[[Any], str] = lambda config: ""
    pace: Callable[[Any], Any] = lambda config: config
    unfused: Callable[[Any], str | None] = _never_fused
    try_fused: str = ""
    runtime: str
    data_sets: str = ""
    estimate: str = ""
    checkpoint_bytes: str = ""
    describe: str = ""
    details: str = ""
    picture: str = ""


def load_object(path: str) -> Any:
    """Returns the object that "module:NAME" names.

    Raises:
        ImportError: The module or the name is missing.
    """
    module_name, _, name = path.partition(":")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ImportError(f"module {module_name!r} has no {name!r}") from None


# --- configurations as plain data -----------------------------------------------------------------


def kinds(annotation: Any) -> dict[str, type] | None:
    """Returns name -> dataclass of a field that chooses a kind, or None for any other annotation.

    Such a field is annotated with a dataclass, or a union of dataclasses, that have a field
    `name: Literal["...", ...]`.
    """
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    found: dict[str, type] = {}
    for member in members:
        if not (isinstance(member, type) and is_dataclass(member)):
            return None
        literal = hints(member).get("name")
        if get_origin(literal) is not Literal:
            return None
        found.update(dict.fromkeys(get_args(literal), member))
    return found


_HINTS: dict[type, dict[str, Any]] = {}


def hints(cls: type) -> dict[str, Any]:
    """Returns the resolved annotations of a dataclass, remembered."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def to_plain(config: Any, *, defaults: bool = True) -> Any:
    """Returns a config dataclass as dicts, lists and scalars.

    Args:
        config: A dataclass instance, or a value inside one.
        defaults: False leaves out every field that equals its default, but never a kind's `name`.
    """
    if is_dataclass(config) and not isinstance(config, type):
        plain: dict[str, Any] = {}
        for each in fields(config):
            value = getattr(config, each.name)
            if not defaults and each.name != "name" and value == _default(each):
                continue
            plain[each.name] = to_plain(value, defaults=defaults)
        return plain
    if isinstance(config, Mapping):
        return {str(key): to_plain(value, defaults=defaults) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_plain(value, defaults=defaults) for value in config]
    return config.reference if isinstance(config, Secret) else config


def _default(each: Any) -> Any:
    if each.default is not MISSING:
        return each.default
    if each.default_factory is not MISSING:
        return each.default_factory()
    return MISSING


def from_plain(cls: type[T], plain: Mapping[str, Any]) -> T:
    """Returns the dataclass that `to_plain` wrote; trusts types, the study language checks them.

    Raises:
        TypeError: An unknown or a missing field.
        ValueError: Raised by the dataclass's own checks.
    """
    annotations = hints(cls)
    return cls(**{name: _build(annotations.get(name), value) for name, value in plain.items()})


def _build(annotation: Any, value: Any) -> Any:
    options = kinds(annotation)
    if options is not None and isinstance(value, Mapping):
        return from_plain(options[value["name"]], value)
    if isinstance(annotation, type) and is_dataclass(annotation) and isinstance(value, Mapping):
        return from_plain(annotation, value)
    if isinstance(value, list):
        return tuple(value)
    return value
