"""Entries with their sources, trials beside themselves, and differences, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator.model.fusing import Verdict

if TYPE_CHECKING:
    from orchestrator.app.diff import Line
    from orchestrator.app.reproduce import Reproduced
    from orchestrator.app.trace import Source, Traced


def traced_lines(found: Traced, *, place: str) -> Iterator[str]:
    """Yields the lines that tell where an entry came from.

    Args:
        found: The entry.
        place: The store.
    """
    entry = found.entry
    yield f"{found.table.name}: {', '.join(found.labels)}: {entry.text}"
    values = ", ".join(f"seed {seed}: {value:.9g}" for seed, value in entry.values)
    yield f"{entry.n} of {entry.planned} seeds{': ' + values if values else ''}"
    yield f"store: {place}"
    for source in found.sources:
        yield ""
        yield from _source_lines(source, "")


def _source_lines(source: Source, indent: str) -> Iterator[str]:
    trial, made = source.trial, source.provenance
    yield f"{indent}{trial.label}"
    yield f"{indent}  trial       {trial.key}, {source.status.state.value}, {_attempts(source)}"
    if source.value is not None and not indent:
        yield f"{indent}  value       {source.value:.9g}"
    if made:
        changed = " with uncommitted changes" if made.get("dirty") else ""
        commit = f"commit {str(made['commit'])[:12]}{changed}, " if made.get("commit") else ""
        kept = f"kept as {made['tree']}" if made.get("tree") else "not kept"
        yield f"{indent}  code        {commit}digest {made.get('code', '–')}, {kept}"
    if source.data:
        yield f"{indent}  data        {source.data}"
    if source.checkpoint is not None:
        yield f"{indent}  checkpoint  {source.checkpoint.path}, sha256 {source.checkpoint.digest}"
    if (found := made.get("search")) is not None:
        values = ", ".join(f"{path} = {value}" for path, value in found["chosen"].items())
        yield f"{indent}  chosen      {values}: candidate {found['candidate']} of {len(found['tried'])}"
        return
    if made:
        versions = [f"{name} {made[name]}" for name in made if name not in _OWN]
        machine = [made.get("host", "–"), *made.get("devices", ()), f"{made.get('threads', '–')} threads"]
        machine += [made[name] for name in ("processor", "gpu") if name in made]
        yield f"{indent}  machine     {', '.join(map(str, machine))}"
        if (how := made.get("workload")) is not None:
            yield f"{indent}  computed    {', '.join(f'{name} {value}' for name, value in how.items())}"
        yield f"{indent}  versions    {', '.join(versions)}"
        if (seeds := made.get("fused")) is not None:
            yield f"{indent}  fused       seeds {', '.join(map(str, seeds))} as one network"
        if (measured := made.get("fusing")) is not None:
            yield f"{indent}  measured    {Verdict.from_plain(measured).text}"
        yield f"{indent}  again       orch reproduce {trial.key[:12]} --check"
    for parent in source.parents:
        yield f"{indent}  {'decided by' if parent.trial.stage == 'search' else 'measured on'}"
        yield from _source_lines(parent, indent + "    ")


_OWN = frozenset(
    {
        *("host", "pid", "lane", "threads", "devices", "accelerators", "code", "commit", "dirty", "tree"),
        *("submission", "notes", "workload", "fused", "fusing", "processor", "gpu"),
    }
)


def _attempts(source: Source) -> str:
    told = [f"{each.epoch} {each.outcome or 'running'}" for each in source.attempts]
    return f"{len(told)} attempt{'s' * (len(told) != 1)} ({', '.join(told)})"


def reproduced_lines(found: Reproduced) -> Iterator[str]:
    """Yields the lines that tell how a trial came out again."""
    trial = found.report.trial
    where = f"in {found.tree}" if found.tree else "in the code as it is now"
    yield f"{trial.key} ({trial.label}) ran again {where}"
    for name, value in found.tests.items():
        yield f"  {name}: {value:.9g}"
    for name, (before, now) in found.environment.items():
        yield f"  {name}: {before} then, {now} now"
    if not found.differences:
        yield f"all {found.values} values are equal, bit for bit"
        return
    yield f"{len(found.differences)} of {found.values} values differ"
    for each in found.differences[:10]:
        yield f"  {each.place}: {_number(each.recorded)} recorded, {_number(each.again)} now"
    if {"processor", "gpu"} & set(found.environment):
        yield "another processor or GPU may add in another order: equal bits are promised on the same kind"


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.17g}"


def diff_rows(lines: Sequence[Line]) -> list[tuple[str, str, str, str]]:
    """Returns the rows of a table of differences."""
    return [(each.kind, each.name, _short(each.one), _short(each.other)) for each in lines]


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."
