"""A network's graph with whole layers as its nodes."""

from __future__ import annotations

import inspect
from typing import Any, Final, final

from torch import fx, nn

from workloads.networks.fractal_block import FractalLayer
from workloads.networks.layers import ConvBN, Head
from workloads.networks.path_ensemble import SharedConvBN
from workloads.networks.preact_module import Gate
from workloads.networks.vgg import Hidden

# A module that stands for one layer of the depth as the papers count it.
LAYERS: Final = (ConvBN, SharedConvBN, FractalLayer, Head, Hidden, nn.Conv2d)
# What is no way for a signal: it only scales one.
GATES: Final = (Gate,)


def traced(net: nn.Module) -> fx.Graph:
    """Returns the graph of a network's forward pass.

    Optional arguments are fixed to their defaults, so that all of the network is there.
    """
    return _LayerTracer().trace(net, concrete_args=_defaults(net))


def sources(node: fx.Node) -> list[fx.Node]:
    """Returns the nodes that a node reads, as often as it reads them: a + a is two ways."""
    found: list[fx.Node] = []

    def note(argument: fx.Node) -> fx.Node:
        found.append(argument)
        return argument

    fx.map_arg((node.args, node.kwargs), note)
    return found


@final
class _LayerTracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (*LAYERS, *GATES, nn.Identity, nn.BatchNorm2d, nn.MaxPool2d, nn.ReLU))


def _defaults(net: nn.Module) -> dict[str, Any]:
    parameters = inspect.signature(net.forward).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
