"""What a network is made of, counted on the network that `build` makes, without memory for its weights.

Source: Zhao et al. 2016: Table 4 (parameters), section 3.1 (paths, depth), Table 1 (depths of components).
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any, final

import torch
from torch import fx, nn
from torch.utils.flop_counter import FlopCounterMode

from workloads.networks.build import build
from workloads.networks.configs import Network
from workloads.networks.layers import ConvBN, Head, given
from workloads.networks.path_ensemble import SharedConvBN

# A module that stands for one layer of the depth as the papers count it.
LAYERS = (ConvBN, SharedConvBN, Head)


def describe(config: Network) -> dict[str, int]:
    """Returns parameters, longest path, floating-point operations and number of paths.

    parameters: trainable numbers, shared ones once, running statistics not counted.
    longest_path: convolutions and the fully connected layer on the longest way from image to logits.
    flops: of one image's forward pass in evaluation, counted as 2 for each multiply-add of convolutions and
        fully connected layers; normalisation, activations and sums are not counted.
    paths: ways from the image through the network's graph to its logits, an ensemble's over all members.
        plain 1; resnet 2 to the units; dfn 2 to the fusions; dfn_il 3 to the units. dfn_mr with u units has
        4 * 3^(u - 1): its last unit has 4 ways, and each other unit triples the ways to each of its two
        lines. The paper multiplies 4 for every unit (section 5: "the same to two fusion units in a ResNet"),
        which its own graph does not have beyond one unit.

    Args:
        config: A configuration with classes, in_channels and input_size filled.

    Raises:
        ValueError: One of them is None.
    """
    return dict(_describe(config))


@lru_cache(maxsize=1024)
def _describe(config: Network) -> dict[str, int]:
    size = given(config, "input_size")
    with torch.device("meta"):
        net = build(config).eval()
        image_1CHW = torch.empty(1, given(config, "in_channels"), size, size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(image_1CHW)
    longest, paths = _longest_and_paths(net)
    return {
        "parameters": sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad),
        "longest_path": longest,
        "flops": int(counter.get_total_flops()),
        "paths": paths,
    }


@final
class _LayerTracer(fx.Tracer):
    """Records a network's graph with whole layers as its nodes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (*LAYERS, nn.Identity))


def _longest_and_paths(net: nn.Module) -> tuple[int, int]:
    """Returns the longest way and the number of ways through the network's graph."""
    modules = dict(net.named_modules())
    longest: dict[fx.Node, int] = {}
    paths: dict[fx.Node, int] = {}
    # The optional argument of an ensemble's forward pass is fixed to its default, so that all members count.
    graph = _LayerTracer().trace(net, concrete_args=_defaults(net))
    for node in graph.nodes:
        if node.op == "placeholder":
            longest[node], paths[node] = 0, 1
            continue
        sources = _sources(node)
        if not sources:
            longest[node], paths[node] = 0, 0
            continue
        layer = node.op == "call_module" and isinstance(modules[str(node.target)], LAYERS)
        longest[node] = max(longest[source] for source in sources) + int(layer)
        paths[node] = sum(paths[source] for source in sources)
    output = next(iter(reversed(graph.nodes)))
    return longest[output], paths[output]


def _sources(node: fx.Node) -> list[fx.Node]:
    """Returns the nodes that a node reads, as often as it reads them: a + a is two ways."""
    found: list[fx.Node] = []

    def note(argument: fx.Node) -> fx.Node:
        found.append(argument)
        return argument

    fx.map_arg((node.args, node.kwargs), note)
    return found


def _defaults(net: nn.Module) -> dict[str, Any]:
    parameters = inspect.signature(net.forward).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
