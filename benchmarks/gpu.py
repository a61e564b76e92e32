"""What one GPU gives: fused seeds and packed processes beside one process a trial with a DataLoader.

    python -m benchmarks.gpu --out DIR [--device cuda:0] [--small]

It needs torch, torchvision, numpy and scikit-learn alone. For a residual network, a DFN-MR and an ensemble
of eight, at mini-batches of 64 and 128: images a second of torch's plain loop with torchvision's transforms;
of one network by our loop with each setting; of the best setting for two and more processes on the device,
and for 1 to 16 fused seeds; of CUDA graphs and of torch.func. Everything is in DIR/gpu.json, the table in
DIR/gpu.md. Each figure is of a process of its own; the next begins when it ends.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.load_measure import Child

NETWORKS = ("resnet", "dfn", "ensemble")
BATCHES = (64, 128)
REPLICAS = (1, 2, 4, 8, 16)
PROCESSES = (2, 4, 8)
SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {},
    "tf32": {"tf32": True},
    "tf32, channels last": {"tf32": True, "memory_format": "channels_last"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels last": {"precision": "bfloat16", "memory_format": "channels_last"},
    "tf32, compiled": {"tf32": True, "compile": True},
}


def rate(name: str, kind: str, options: dict[str, Any], processes: int = 1) -> dict[str, Any]:
    """Returns images a second of some processes together, or why there is no such figure."""
    with tempfile.TemporaryDirectory(prefix="orch-gpu-") as folder:
        own = {**options, "folder": folder, "processes": processes}
        children = [Child("benchmarks.gpu_steps:measure", [name, kind, own]) for _ in range(processes)]
        try:
            return {"rate": sum(child.wait().result for child in children)}
        except RuntimeError as error:
            return {"rate": None, "why": str(error).strip().splitlines()[-1][:300]}


def figures(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields one figure after the other."""
    small = arguments.small
    for name in NETWORKS[:1] if small else NETWORKS:
        for batch in BATCHES[:1] if small else BATCHES:
            base = {
                "device": arguments.device,
                "batch": batch,
                "seconds": 0.1 if small else 3.0,
                "images": 256 if small else 50_000,
                "small": small,
            }
            about = {"network": name, "batch": batch}
            yield {**about, "what": "plain loop, DataLoader", "k": 1, **rate(name, "loader", base)}
            best, found = "float32", 0.0
            for setting, fields in SETTINGS.items():
                if small and setting not in ("float32", "bfloat16"):
                    continue
                row = rate(name, "alone", {**base, "settings": fields})
                yield {**about, "what": f"one network, {setting}", "k": 1, **row}
                # seeds of compiled networks are not fused
                if (row["rate"] or 0.0) > found and not fields.get("compile"):
                    best, found = setting, row["rate"]
            options = {**base, "settings": SETTINGS[best]}
            for count in PROCESSES[:1] if small else PROCESSES:
                row = rate(name, "alone", options, count)
                yield {**about, "what": f"processes, {best}", "k": count, **row}
            for count in REPLICAS[:2] if small else REPLICAS:
                row = rate(name, "fused", {**options, "replicas": count})
                yield {**about, "what": f"fused, {best}", "k": count, **row}
            if arguments.device.startswith("cuda"):
                yield {**about, "what": "CUDA graph of a plain step", "k": 1, **rate(name, "graph", base)}
            for count in (4, 8)[: 1 if small else 2]:
                row = rate(name, "vmap", {**base, "replicas": count})
                yield {**about, "what": "torch.func.vmap", "k": count, **row}


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yields the lines of the table: each figure beside the plain loop and the best single network."""
    yield "| network | batch | what | K | images/s | times the plain loop | times the best single network |"
    yield "|--|--|--|--|--|--|--|"
    for row in rows:
        own = [each for each in rows if (each["network"], each["batch"]) == (row["network"], row["batch"])]
        plain = own[0]["rate"]
        singles = [each["rate"] for each in own if each["what"].startswith("one network") and each["rate"]]
        told = [_times(row["rate"], other) for other in (plain, max(singles, default=None))]
        seen = f"{row['rate']:,.0f}" if row["rate"] else row.get("why", "–")
        cells = (row["network"], row["batch"], row["what"], row["k"], seen, *told)
        yield f"| {' | '.join(map(str, cells))} |"


def _times(rate: float | None, other: float | None) -> str:
    return f"{rate / other:.2f}" if rate and other else "–"


def machine(device: str) -> dict[str, Any]:
    """Returns what the figures depend on."""
    import torch

    facts = {"torch": torch.__version__, "python": platform.python_version()}
    facts["date"] = time.strftime("%Y-%m-%d")
    if device.startswith("cuda"):
        facts |= {
            "device": torch.cuda.get_device_name(device),
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
        }
    return facts


def main() -> int:
    """Writes gpu.json and gpu.md as figures come; the exit code is 5 where there is no such device."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the figures go")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--small", action="store_true", help="tiny sizes: whether it runs at all")
    arguments = parser.parse_args()
    import torch

    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        print("not run here: torch sees no CUDA device; --device cpu --small shows whether it runs at all")
        return 5
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    facts = machine(arguments.device)
    for row in figures(arguments):
        rows.append(row)
        print(json.dumps(row), flush=True)
        head = ", ".join(f"{name} {value}" for name, value in facts.items())
        Path(arguments.out, "gpu.json").write_text(json.dumps({"machine": facts, "rows": rows}, indent=1))
        Path(arguments.out, "gpu.md").write_text("\n".join([head, "", *table(rows)]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
