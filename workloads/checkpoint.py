"""What a checkpoint directory of the classification workload holds.

    config.json            the canonical configuration, the seed and the format
    network.pt             weights and buffers
    training.pt            momentum, stream states, the epoch's order and its partial sums
    training.json          position, and how the training ended

Tensors are read with torch's restricted unpickler, which knows tensors and nothing else, so that opening a
checkpoint runs no code. Whoever calls `write` makes it durable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from workloads.api import from_plain, to_plain
from workloads.configs import TrainConfig

_FORMAT: Final = 1
_CONFIG, _NETWORK = "config.json", "network.pt"
_TENSORS, _STATE = "training.pt", "training.json"


def write(
    folder: Path,
    *,
    config: TrainConfig,
    seed: int,
    network: Mapping[str, torch.Tensor],
    tensors: Mapping[str, torch.Tensor],
    state: Mapping[str, Any],
) -> None:
    """Writes a checkpoint into an existing empty directory; equal states give equal bytes.

    Args:
        folder: The directory.
        config: Canonical configuration of the training.
        seed: Its seed.
        network: State dict of the network.
        tensors: Further tensors of the training.
        state: Further plain values of the training.
    """
    head = {"format": _FORMAT, "seed": seed, "config": to_plain(config)}
    _write_json(folder / _CONFIG, head)
    torch.save(_detached(network), folder / _NETWORK)
    torch.save(_detached(tensors), folder / _TENSORS)
    _write_json(folder / _STATE, state)


def read_config(folder: Path) -> tuple[TrainConfig, int]:
    """Returns the configuration and the seed of a checkpoint.

    Raises:
        FileNotFoundError: The directory is no checkpoint.
        ValueError: It was written in another format.
    """
    head = json.loads((folder / _CONFIG).read_text("utf-8"))
    if head["format"] != _FORMAT:
        raise ValueError(f"checkpoint {folder}: got format {head['format']!r}, allowed is {_FORMAT}")
    return from_plain(TrainConfig, head["config"]), int(head["seed"])


def read_network(folder: Path) -> dict[str, torch.Tensor]:
    """Returns the state dict of a checkpoint's network, on the CPU."""
    return _load(folder / _NETWORK)


def stamp(folder: Path) -> tuple[int, int, int]:
    """Returns what changes when another network is written there: inode, time and size of its file.

    Raises:
        FileNotFoundError: The directory is no checkpoint.
    """
    found = (folder / _NETWORK).stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_training(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Returns the further tensors and plain values that `write` was given."""
    return _load(folder / _TENSORS), json.loads((folder / _STATE).read_text("utf-8"))


def read_place(folder: Path) -> tuple[int, int, bool]:
    """Returns where a training stands: finished epochs, mini-batches of the next, whether it ended."""
    state = json.loads((folder / _STATE).read_text("utf-8"))
    return int(state["epoch"]), int(state["position"]), state["end"] is not None


def _detached(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # cloned: parameters are views into one vector, and a view is saved with all of its storage
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _load(path: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8")
