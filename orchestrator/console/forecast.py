"""A forecast in words."""

from __future__ import annotations

from typing import Final

from orchestrator.model.forecast import Forecast, Span


def told(found: Forecast) -> list[str]:
    """Returns a forecast in words, nothing where nothing is to run."""
    if not found.trials:
        return []
    return [_cost(found), *_disk(found)]


def _cost(found: Forecast) -> str:
    if found.unknown == found.trials:
        return "cost: not known, since nothing of the kind has run in this store; one seed tells (--seeds 1)"
    parts = [
        f"{_time(span)} of a {name}"
        for name, span in (("CPU", found.cpu_s), ("GPU", found.gpu_s))
        if span.mid
    ]
    line = f"cost: {' and '.join(parts) or 'nothing'}"
    if found.wall_s is not None:
        at_once = f" with {found.slots} at once" if found.slots else ""
        line += f"; {_time(found.wall_s)} in all{at_once}"
    else:
        line += "; how many run at once is not known (max_concurrent would say)"
    basis = []
    if found.alike:
        basis.append(f"{found.alike} by past trials of the same config")
    if found.counted:
        basis.append(f"{found.counted} by how much there is to compute, beside others on that machine")
    if found.near:
        basis.append(f"{found.near} by others of their kind")
    if found.unknown:
        basis.append(f"{found.unknown} not counted, of a kind that has not run yet")
    return f"{line} ({', '.join(basis)})"


def _disk(found: Forecast) -> list[str]:
    if found.disk_bytes is None:
        return []
    line = f"disk: {_size(found.disk_bytes)}"
    if found.disk_unknown:
        line += f", {found.disk_unknown} trials not counted"
    if found.free_bytes is not None:
        line += f"; the store has {_bytes(found.free_bytes)} free"
        if found.disk_bytes.mid > found.free_bytes:
            line += ", which is too little"
        elif found.disk_bytes.high > found.free_bytes:
            line += ", which may be too little"
    return [line]


def _time(span: Span) -> str:
    unit, size = next(
        ((unit, size) for unit, size in (("h", 3600.0), ("min", 60.0)) if span.mid >= size), ("s", 1.0)
    )
    return _range(span, unit, size)


def _size(span: Span) -> str:
    unit, size = _unit(span.mid)
    return _range(span, unit, size)


def _bytes(number: float) -> str:
    unit, size = _unit(number)
    return f"{_rounded(number / size)} {unit}"


def _unit(number: float) -> tuple[str, float]:
    return next(((unit, size) for unit, size in _UNITS if number >= size), ("kB", 1e3))


_UNITS: Final = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))


def _range(span: Span, unit: str, size: float) -> str:
    low, mid, high = (_rounded(each / size) for each in (span.low, span.mid, span.high))
    return f"about {mid} {unit} ({low} to {high})"


def _rounded(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
