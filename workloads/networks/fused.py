"""Networks of equal structure as one: the channels of K replicas lie side by side.

Of a mini-batch x_BX, X = K times C channels, replica k reads and writes the channels kC to (k + 1)C. A
convolution becomes one of K times as many groups, batch normalisation has statistics of each channel anyway,
and sums, ReLU and pooling need nothing. Each tensor of the whole is those of the replicas end to end, so that
a replica's own network can look at its part of the memory: it is evaluated, saved and restored as if it were
alone. The replicas one after another are the slow reference; tests hold both equal.

Shapes: B images, K replicas, C channels of one replica, X all channels, M members of an ensemble, L classes.
Source: Wang et al. 2021 (HFTA), section 3, for the rules of fusing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Sided(Protocol):
    """A module that does something along the channels, for each of the replicas side by side."""

    sided: bool


@final
class Rows(nn.Module):
    """The fully connected layers of the replicas, each on its own columns."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        """Joins the weights (K * outputs, inputs) and the biases."""
        super().__init__()
        self.replicas = len(layers)
        self.weight = nn.Parameter(_joined([each.weight for each in layers]))
        biases = [each.bias for each in layers if each.bias is not None]
        self.bias = nn.Parameter(_joined(biases)) if biases else None

    def forward(self, x_BX: Tensor) -> Tensor:
        """Returns the layers' outputs (B, K * outputs)."""
        x_KBC = x_BX.view(len(x_BX), self.replicas, -1).transpose(0, 1)
        weight_KCO = self.weight.view(self.replicas, -1, x_KBC.shape[2]).transpose(1, 2)
        if self.bias is None:
            y_KBO = torch.bmm(x_KBC, weight_KCO)
        else:
            y_KBO = torch.baddbmm(self.bias.view(self.replicas, 1, -1), x_KBC, weight_KCO)
        return y_KBO.transpose(0, 1).flatten(1)


def fuse(networks: Sequence[nn.Module]) -> nn.Module:
    """Returns one network on K times the channels; see `bind` for what the replicas see of it.

    Args:
        networks: Of equal configuration, as built; their weights are taken over.
    """
    whole = copy.deepcopy(networks[0])
    _fuse(whole, networks)
    return whole


def bind(whole: nn.Module, networks: Sequence[nn.Module]) -> None:
    """Makes each network's tensors its part of the whole's, from now on the same memory.

    Args:
        whole: What `fuse` made of the networks, its tensors in their final place, device and precision.
        networks: In the same order.
    """
    own = [*whole.named_parameters(), *whole.named_buffers()]
    for index, network in enumerate(networks):
        network.to(own[0][1].dtype)
        theirs = dict([*network.named_parameters(), *network.named_buffers()])
        assert theirs.keys() == dict(own).keys()
        for name, tensor in own:
            theirs[name].data = _part(tensor.data, index, theirs[name])


def apart(outputs: Tensor, replicas: int) -> Tensor:
    """Returns the outputs of each replica, replicas first: (K, B, L), or (K, M, B, L) of ensembles.

    Args:
        outputs: (B, K * L), or (M, B, K * L).
        replicas: K.
    """
    return outputs.view(*outputs.shape[:-1], replicas, -1).movedim(-2, 0)


@final
class Repeated(nn.Module):
    """The whole as a function of images that every replica sees, for evaluation."""

    def __init__(self, whole: nn.Module, replicas: int) -> None:
        """Takes what `fuse` made of so many networks."""
        super().__init__()
        self.whole, self._replicas = whole, replicas

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the outputs of each replica, replicas first."""
        return apart(self.whole(x_BCHW.repeat(1, self._replicas, 1, 1)), self._replicas)


def _fuse(whole: nn.Module, parts: Sequence[nn.Module]) -> None:
    """Changes a copy of the first part into the fusion of all."""
    if isinstance(whole, nn.Conv2d):
        whole.groups *= len(parts)
        whole.in_channels *= len(parts)
        whole.out_channels *= len(parts)
    elif isinstance(whole, nn.BatchNorm2d):
        whole.num_features *= len(parts)
    elif isinstance(whole, Sided):
        whole.sided = True
    for name, own in _own(whole):
        joined = _joined([dict(_own(each))[name] for each in parts])
        if isinstance(own, nn.Parameter):
            setattr(whole, name, nn.Parameter(joined))
        else:
            setattr(whole, name, joined)
    for name, child in whole.named_children():
        several = [each.get_submodule(name) for each in parts]
        if isinstance(child, nn.Linear):
            setattr(whole, name, Rows([each for each in several if isinstance(each, nn.Linear)]))
        else:
            _fuse(child, several)


def _own(module: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Returns tensors end to end, single numbers as a vector."""
    detached = [each.detach() for each in tensors]
    return torch.cat(detached) if detached[0].dim() else torch.stack(detached)


def _part(joined: Tensor, index: int, like: Tensor) -> Tensor:
    """Returns a replica's part of a joined tensor, as a view."""
    if not like.dim():
        return joined[index]
    return joined[index * len(like) : (index + 1) * len(like)]
