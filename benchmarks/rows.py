"""Rows of the suite: what was reached beside what was to reach, from paired repeats in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison.

    Attributes:
        name: What was measured.
        against: What it is compared with.
        goal: What is to be reached.
        reached: The median over the pairs; None where it was not run here.
        unit: "x" for times faster, or the unit of a plain figure.
        most: Whether the goal is an upper limit.
        pairs: The repeats.
        note: Absolute figures, which hold for this machine alone, or why it was not run.
    """

    name: str
    against: str
    goal: float
    reached: float | None
    unit: str = "x"
    most: bool = False
    pairs: Sequence[float] = ()
    note: str = ""

    @property
    def verdict(self) -> str:
        """Returns "reached", "MISSED" or "not run here"."""
        if self.reached is None:
            return "not run here"
        met = self.reached <= self.goal if self.most else self.reached >= self.goal
        return "reached" if met else "MISSED"

    def line(self) -> str:
        """Returns the row as a line of a table."""
        reached = "–" if self.reached is None else f"{self.reached:.3g} {self.unit}"
        goal = f"{'<= ' if self.most else ''}{self.goal:g} {self.unit}"
        spread = f", {min(self.pairs):.3g} to {max(self.pairs):.3g}" if len(self.pairs) > 1 else ""
        head = f"{self.name:<44} {self.against:<42} {goal:>12} {reached:>12}  {self.verdict}{spread}"
        return f"{head}\n    {self.note}" if self.note else head


def skipped(name: str, against: str, goal: float, why: str) -> Row:
    """Returns a row that was not run here."""
    return Row(name=name, against=against, goal=goal, reached=None, note=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Seconds of two things that ran in turns.

    Attributes:
        ours: Of ours, in order.
        peers: Of the peer, in order.
    """

    ours: tuple[float, ...]
    peers: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Returns how many times faster ours was in each pair."""
        return [peer / own for own, peer in zip(self.ours, self.peers, strict=True)]

    def row(self, name: str, against: str, goal: float, note: str = "") -> Row:
        """Returns the median ratio as a row; the note begins with both medians."""
        own, peer = statistics.median(self.ours), statistics.median(self.peers)
        said = f"{own * 1e3:.4g} ms against {peer * 1e3:.4g} ms" + (f"; {note}" if note else "")
        ratios = self.ratios
        return Row(
            name=name,
            against=against,
            goal=goal,
            reached=statistics.median(ratios),
            pairs=ratios,
            note=said,
        )


def paired(ours: Callable[[], Any], peer: Callable[[], Any], *, repeats: int, warm: int = 1) -> Paired:
    """Returns the times of both in turns; which of them is first alternates.

    Args:
        ours: Does ours once.
        peer: Does the peer's once.
        repeats: Pairs.
        warm: Pairs before, that do not count.
    """
    found: list[tuple[float, float]] = []
    for number in range(warm + repeats):
        if number % 2:
            peer_s, own_s = seconds(peer), seconds(ours)
        else:
            own_s, peer_s = seconds(ours), seconds(peer)
        found.append((own_s, peer_s))
    own, peers = zip(*found[warm:], strict=True)
    return Paired(ours=own, peers=peers)


def seconds(work: Callable[[], Any]) -> float:
    """Returns how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
