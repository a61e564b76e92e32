"""Fused networks whose replicas leave out different parts of themselves in a mini-batch.

Each part runs once, for the replicas that do not leave it out: their channels are taken out of those of all,
and the layers use, and update, their tensors only. So what a replica leaves out has neither gradient nor
statistics of that mini-batch, as in its solo run.

Shapes: N images, K replicas, R some of them, C channels of one, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.fractal import FractalNetwork
from workloads.networks.fractal_block import Dropout, FractalBlock, Joins, mean
from workloads.networks.preact import PreActNet

Some: TypeAlias = tuple[int, ...]  # replicas, ascending
T = TypeVar("T")
V = TypeVar("V")


@final
@dataclass(slots=True)
class Active:
    """Which replicas the layers run for at this moment.

    Attributes:
        count: K.
        generators: What each replica's dropout masks come from.
        some: Those that run, None for all.
    """

    count: int
    generators: Sequence[torch.Generator]
    some: Some | None = field(default=None)

    @contextmanager
    def only(self, some: Some) -> Iterator[None]:
        """Runs its body for some replicas."""
        self.some = None if len(some) == self.count else some
        try:
            yield
        finally:
            self.some = None

    def part(self, joined: Tensor | None) -> Tensor | None:
        """Returns the running replicas' part of a tensor that has the replicas end to end."""
        if joined is None or self.some is None:
            return joined
        return joined.view(self.count, -1, *joined.shape[1:])[list(self.some)].flatten(0, 1)

    def put(self, joined: Tensor | None, part: Tensor | None) -> None:
        """Writes what became of that part back."""
        if joined is not None and part is not None and self.some is not None:
            joined.view(self.count, -1)[list(self.some)] = part.view(len(self.some), -1)


@final
class SomeConv(nn.Module):
    """A fused convolution that may run for some replicas."""

    def __init__(self, conv: nn.Conv2d, active: Active) -> None:
        """Takes the tensors of what `fuse` made of the replicas' convolutions."""
        super().__init__()
        self.weight, self.bias, self._active = conv.weight, conv.bias, active
        self._geometry = conv.stride, conv.padding, conv.dilation
        self._groups = conv.groups // active.count

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the outputs of the running replicas."""
        active = self._active
        running = active.count if active.some is None else len(active.some)
        weight = active.part(self.weight)
        assert weight is not None
        if weight is not self.weight and not self.weight.is_contiguous():
            # to lie in memory as a replica's own does: torch refuses some mixtures
            weight = (
                weight.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)
            )
        groups = self._groups * running
        return F.conv2d(x_NCHW, weight, active.part(self.bias), *self._geometry, groups)  # type: ignore[arg-type]


@final
class SomeNorm(nn.Module):
    """A fused batch normalisation that may run for some replicas.

    Attributes:
        normalise: Batch normalisation as a function, called as torch's is.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, bn: nn.BatchNorm2d, active: Active) -> None:
        """Takes the tensors of what `fuse` made of the replicas' normalisations."""
        super().__init__()
        self.weight, self.bias, self._active = bn.weight, bn.bias, active
        for name, buffer in bn.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self._momentum, self._eps = bn.momentum, bn.eps
        self.normalise: Callable[..., Tensor] = F.batch_norm

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the normalised values of the running replicas, whose statistics move in training."""
        active = self._active
        mean_C, variance_C = active.part(self.running_mean), active.part(self.running_var)
        weight_C, bias_C = active.part(self.weight), active.part(self.bias)
        y_NCHW = self.normalise(
            x_NCHW, mean_C, variance_C, weight_C, bias_C, self.training, self._momentum, self._eps
        )
        if self.training:
            active.put(self.running_mean, mean_C)
            active.put(self.running_var, variance_C)
            self.num_batches_tracked[slice(None) if active.some is None else list(active.some)] += 1
        return y_NCHW


@final
class SomeDropout(nn.Module):
    """Dropout whose masks come from each running replica's own stream, as its solo run draws them."""

    def __init__(self, rate: float, active: Active) -> None:
        """Takes the rate, and whose masks are drawn."""
        super().__init__()
        self._rate, self._active = rate, active

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the values that are kept, scaled."""
        if not self.training or not self._rate:
            return x_NCHW
        some = range(self._active.count) if self._active.some is None else self._active.some
        keep = 1 - self._rate
        masks = []
        for replica, own_NCHW in zip(some, x_NCHW.detach().chunk(len(some), 1), strict=True):
            masks.append(
                torch.empty_like(own_NCHW).bernoulli_(keep, generator=self._stream(replica, own_NCHW))
            )
        return x_NCHW * torch.cat(masks, 1).div_(keep)

    def _stream(self, replica: int, like: Tensor) -> torch.Generator:
        own = self._active.generators[replica]
        if like.device.type == "cpu":
            return own
        seed = int(torch.randint(2**62, (), generator=own))
        return torch.Generator(like.device).manual_seed(seed)


@final
class DrawnPreAct(nn.Module):
    """A fused residual network whose replicas leave out different modules."""

    def __init__(self, whole: PreActNet, networks: Sequence[PreActNet], active: Active) -> None:
        """Takes what `fuse` made of the networks, and the networks, which draw."""
        super().__init__()
        self.stem, self.residual_modules = whole.stem, whole.residual_modules
        self.bn, self.head = whole.bn, whole.head
        self._networks, self._active = tuple(networks), active

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the logits of all replicas."""
        x_NCHW = self.stem(x_NCHW)
        for number, module in enumerate(self.residual_modules):
            gone = _where([self.training and number in net.dropped for net in self._networks], bool)
            values = {some: self._run(module, x_NCHW, some, deleted) for deleted, some in gone.items()}
            x_NCHW = _together(values, tuple(range(self._active.count)))
        return cast(Tensor, self.head(F.relu(self.bn(x_NCHW))))

    def _run(self, module: nn.Module, x_NCHW: Tensor, some: Some, deleted: bool) -> Tensor:
        with self._active.only(some):
            return cast(Tensor, module(_taken(x_NCHW, tuple(range(self._active.count)), some), deleted))


@final
class DrawnFractal(nn.Module):
    """A fused fractal network whose replicas drop different inputs of their joins."""

    def __init__(self, whole: FractalNetwork, networks: Sequence[FractalNetwork], active: Active) -> None:
        """Takes what `fuse` made of the networks, and the networks, which draw."""
        super().__init__()
        self.stem, self.blocks, self.head = whole.stem, whole.blocks, whole.head
        self._networks, self._active = tuple(networks), active

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the logits of all replicas."""
        x_NCHW = self.stem(x_NCHW)
        for number, block in enumerate(cast(Sequence[FractalBlock], self.blocks)):
            joins = [
                net.drawn[number] if self.training and net.drawn is not None else block.joins
                for net in self._networks
            ]
            x_NCHW = self._block(block, x_NCHW, joins)
        return cast(Tensor, self.head(x_NCHW))

    def _block(self, block: FractalBlock, x_NCHW: Tensor, joins: Sequence[Joins]) -> Tensor:
        """Returns the value at a block's last place, each replica's joins being its own."""
        every = tuple(range(len(joins)))
        values: dict[int, tuple[Some, Tensor]] = {0: (every, x_NCHW)}  # place -> whose, and what
        needed = [frozenset(block.needed(each)) for each in joins]
        for place in sorted(frozenset[int]().union(*needed)):
            those = tuple(replica for replica in every if place in needed[replica])
            branches: dict[int, tuple[Some, Tensor]] = {}
            for column in block.joins[place]:
                some = tuple(replica for replica in those if column in joins[replica][place])
                if some:
                    before, value_NCHW = values[place - block.spans[column]]
                    with self._active.only(some):
                        branch_NCHW = block.branch(column, place, _taken(value_NCHW, before, some))
                    branches[column] = some, branch_NCHW
            joined: dict[Some, Tensor] = {}
            for columns, positions in _where([joins[replica][place] for replica in those], tuple).items():
                some = tuple(those[position] for position in positions)
                joined[some] = mean([_taken(branches[each][1], branches[each][0], some) for each in columns])
            values[place] = those, _together(joined, those)
        return values[block.depth][1]


def drawn(
    whole: nn.Module, networks: Sequence[nn.Module], generators: Sequence[torch.Generator]
) -> nn.Module:
    """Returns a fused network whose replicas may leave out parts, or draw masks, or the network as it is.

    Args:
        whole: What `fuse` made of the networks.
        networks: The replicas' own, whose `draw` says what the next mini-batch leaves out.
        generators: Each replica's stream of dropout masks.
    """
    if not (isinstance(whole, PreActNet | FractalNetwork) and whole.draws):
        return whole
    active = Active(len(networks), generators)
    for part in list(whole.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.Conv2d) and type(child) is nn.Conv2d:
                setattr(part, name, SomeConv(child, active))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(part, name, SomeNorm(child, active))
            elif isinstance(child, Dropout):
                setattr(part, name, SomeDropout(child.rate, active))
    if isinstance(whole, PreActNet):
        return DrawnPreAct(whole, [cast(PreActNet, each) for each in networks], active)
    return DrawnFractal(whole, [cast(FractalNetwork, each) for each in networks], active)


def _where(items: Sequence[T], of: Callable[[T], V]) -> dict[V, Some]:
    """Returns value -> positions of the items that have it."""
    found: dict[V, list[int]] = {}
    for position, item in enumerate(items):
        found.setdefault(of(item), []).append(position)
    return {value: tuple(positions) for value, positions in found.items()}


def _taken(x_NCHW: Tensor, whose: Some, some: Some) -> Tensor:
    """Returns some replicas' channels out of those of several.

    Args:
        x_NCHW: Their channels side by side.
        whose: The replicas that they are of.
        some: Those that are wanted.
    """
    if some == whose:
        return x_NCHW
    at = [whose.index(replica) for replica in some]
    images, _, height, width = x_NCHW.shape
    split = x_NCHW.permute(0, 2, 3, 1).reshape(images, height, width, len(whose), -1)
    return split[:, :, :, at].flatten(3).permute(0, 3, 1, 2)


def _together(values: Mapping[Some, Tensor], those: Some) -> Tensor:
    """Returns the channels of several groups of replicas side by side, in the order of `those`."""
    if len(values) == 1:
        return next(iter(values.values()))
    order = [replica for some in values for replica in some]
    joined = torch.cat(list(values.values()), 1)
    images, _, height, width = joined.shape
    split = joined.permute(0, 2, 3, 1).reshape(images, height, width, len(those), -1)
    at = [order.index(replica) for replica in those]
    return split[:, :, :, at].flatten(3).permute(0, 3, 1, 2)
