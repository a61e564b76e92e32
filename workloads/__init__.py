"""Workloads: training and evaluation code, with a catalogue that loads no torch."""

from __future__ import annotations

# Workload name -> "module:NAME" of its Spec.
CATALOG: dict[str, str] = {
    "classification": "workloads.spec:SPEC",
}
