"""A network as a diagram: its layers and sums, rows of equal parts drawn once."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import fx, nn

from workloads.drawing.diagram import Diagram, Frame, Node
from workloads.networks.build import on_meta
from workloads.networks.configs import Network
from workloads.networks.describe import describe
from workloads.networks.repeats import Part, folded
from workloads.networks.tracing import GATES, LAYERS, sources, traced

_SYMBOLS: Final[dict[Any, str]] = {
    operator.add: "+",
    operator.iadd: "+",
    torch.add: "+",
    operator.mul: "×",
    operator.imul: "×",
    torch.mul: "×",
    torch.stack: "side by side",
    torch.cat: "concatenation",
}
_POOLS: Final = (F.max_pool2d, torch.max_pool2d)


def sketch(config: Network) -> Diagram:
    """Returns a diagram of a network.

    Layers are boxes: a convolution with its normalisation and activation, a fully connected layer with its
    pooling. Where several lines meet there is a circle. Equal parts in a row are drawn once.

    Args:
        config: A configuration with classes, in_channels and input_size filled.

    Raises:
        ValueError: One of them is None.
    """
    net = on_meta(config)
    parts = _parts(net)
    drawn, edges, frames = folded(parts)
    channels = sorted({part.channels for part, _ in drawn if part.channels is not None})
    found = describe(config)
    return Diagram(
        title=f"{config.name.replace('_', ' ')} {config.printed_depth}",
        subtitle=f"{found['parameters']:,} parameters, longest path {found['longest_path']:,}",
        nodes=tuple(
            Node(
                kind=part.kind,
                label=part.label,
                shade=None if part.channels is None else channels.index(part.channels),
                repeat=repeat,
            )
            for part, repeat in drawn
        ),
        edges=edges,
        frames=tuple(Frame(nodes=nodes, repeat=repeat) for nodes, repeat in frames),
        shades=tuple(f"{each} channels" for each in channels),
    )


def _parts(net: nn.Module) -> list[Part]:
    """Returns what is drawn of a network's graph, in the order in which it runs."""
    modules = dict(net.named_modules())
    graph = traced(net)
    parts: list[Part] = []
    # node -> the part that stands for it, or the part that it only passes on
    stands: dict[fx.Node, int] = {}
    for node in graph.nodes:
        read = list(dict.fromkeys(stands[each] for each in sources(node) if each in stands))
        if node.op == "placeholder":
            if not parts:  # the others are options of the forward pass
                stands[node] = 0
                parts.append(Part(kind="end", label="image", sources=(), scope=""))
            continue
        if node.op == "output" or not read:
            continue
        module = modules[str(node.target)] if node.op == "call_module" else None
        made = _part(node, module, read)
        if made is None:
            stands[node] = read[0]
            continue
        stands[node] = len(parts)
        parts.append(made)
    return _merged(parts)


def _part(node: fx.Node, module: nn.Module | None, read: Sequence[int]) -> Part | None:
    """Returns the part that a node is drawn as, or None where it only changes what passes through."""
    scope = str(node.target) if module is not None else _scope(node)
    if isinstance(module, GATES):
        return _layer(module, "gate ", read, scope)
    if isinstance(module, LAYERS):
        return _layer(module, "", read, scope)
    if isinstance(module, nn.MaxPool2d) or node.target in _POOLS:
        return Part(kind="layer", label="max pooling", sources=tuple(read), scope=scope)
    if len(read) > 1:
        symbol = _SYMBOLS.get(node.target, getattr(node.target, "__name__", str(node.target)))
        if symbol == "+" and any(_divides(user) for user in node.users):
            symbol = "mean"
        return Part(kind="sum", label=symbol, sources=tuple(read), scope=scope)
    return None


def _layer(module: nn.Module, before: str, read: Sequence[int], scope: str) -> Part:
    convs = [each for each in module.modules() if isinstance(each, nn.Conv2d)]
    if convs:  # several of them share the layer's channels
        side = " + ".join("×".join(map(str, each.kernel_size)) for each in convs)
        stride = "" if convs[0].stride[0] == 1 else f", /{convs[0].stride[0]}"
        channels = sum(each.out_channels for each in convs)
        label = f"{before}{side}, {channels}{stride}"
        return Part(kind="layer", label=label, sources=tuple(read), scope=scope, channels=channels)
    linear = next((each for each in module.modules() if isinstance(each, nn.Linear)), None)
    label = type(module).__name__ if linear is None else f"pooling, fc {linear.out_features}"
    return Part(kind="layer", label=label, sources=tuple(read), scope=scope)


def _divides(node: fx.Node) -> bool:
    """Returns whether a node multiplies by a number or divides by one."""
    numbers = any(isinstance(each, int | float) for each in node.args)
    return numbers and node.target in (operator.mul, operator.truediv, torch.mul, torch.div)


def _scope(node: fx.Node) -> str:
    stack: Iterable[str] = node.meta.get("nn_module_stack") or ("",)
    return list(stack)[-1]


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Returns the parts with sums of sums as one sum: (a + b) + c is one circle."""
    users = [0] * len(parts)
    for part in parts:
        for source in part.sources:
            users[source] += 1
    gone: dict[int, tuple[int, ...]] = {}
    for part in parts:
        if part.label != "+":
            continue
        inner = [each for each in part.sources if parts[each].label == "+" and users[each] == 1]
        for each in inner:
            gone[each] = gone.get(each, parts[each].sources)
    kept = [index for index in range(len(parts)) if index not in gone]
    number = {index: position for position, index in enumerate(kept)}

    def flat(index: int) -> Iterable[int]:
        for source in parts[index].sources:
            if source in gone:
                yield from flat(source)
            else:
                yield number[source]

    return [parts[index].reading(tuple(dict.fromkeys(flat(index)))) for index in kept]
