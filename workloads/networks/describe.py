"""What a network is made of, counted on the network that `build` makes, without memory for its weights.

Source: Zhao et al. 2016: Table 4 (parameters), section 3.1 (paths, depth), Table 1 (depths of components).
"""

from __future__ import annotations

from functools import lru_cache

from torch import fx, nn

from workloads.networks.build import on_meta
from workloads.networks.configs import Network
from workloads.networks.operations import operations
from workloads.networks.tracing import GATES, LAYERS, sources, traced


def describe(config: Network) -> dict[str, int]:
    """Returns parameters, longest path, floating-point operations and number of paths.

    parameters: trainable numbers, shared ones once, running statistics not counted.
    longest_path: convolutions and the fully connected layer on the longest way from image to logits.
    flops: of one image's forward pass in evaluation, counted as 2 for each multiply-add of convolutions and
        fully connected layers; normalisation, activations and sums are not counted.
    paths: ways from the image through the network's graph to its logits, an ensemble's over all members;
        `path_lengths` has them by length.
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
    net = on_meta(config)
    parameters = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    lengths = _path_lengths(net)
    return {
        "parameters": parameters,
        "longest_path": max(lengths),
        "flops": operations(config).flops,
        "paths": sum(lengths.values()),
    }


def path_lengths(config: Network) -> dict[int, int]:
    """Returns the layers of a way from the image to the logits -> how many ways have so many, exactly.

    Convolutions and fully connected layers count, a shortcut's projection too.

    Args:
        config: A configuration with classes and in_channels filled.

    Raises:
        ValueError: One of them is None.
    """
    return _path_lengths(on_meta(config))


def _path_lengths(net: nn.Module) -> dict[int, int]:
    modules = dict(net.named_modules())
    # node -> length -> ways that reach it
    ways: dict[fx.Node, dict[int, int]] = {}
    graph = traced(net)
    for node in graph.nodes:
        if node.op == "placeholder":
            ways[node] = {0: 1}
            continue
        part = modules[str(node.target)] if node.op == "call_module" else None
        read = sources(node)
        layer = int(isinstance(part, LAYERS))
        if len(read) == 1 and not layer and not isinstance(part, GATES):
            ways[node] = ways[read[0]]  # a deep network has thousands of lengths at thousands of nodes
            continue
        reached: dict[int, int] = {}
        if not isinstance(part, GATES):
            for source in read:
                for length, count in ways[source].items():
                    reached[length + layer] = reached.get(length + layer, 0) + count
        ways[node] = reached
    output = next(iter(reversed(graph.nodes)))
    return dict(sorted(ways[output].items()))
