"""What each node of a joined cluster sees of the store, the data and the code, before anything runs there."""

from __future__ import annotations

import contextlib
import platform
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchError, TargetError

REACH_S = 10.0
PROBE_S = 60.0  # nodes that have never run our code unpack it first
MARKER = ".tmp-probe-"  # swept like any leftover, should its writer be killed


def answers(address: str) -> None:
    """Checks that somebody listens at a cluster's address: Ray itself would ask for ever.

    Args:
        address: HOST:PORT; others are left to Ray.

    Raises:
        TargetError: Nobody does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except OSError as error:
        raise TargetError(
            f"the Ray cluster at {address} cannot be joined: {error.strerror or error}; see whether its head "
            "runs (`ray status` there) and whether this machine reaches it"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every node must have.

    Attributes:
        marker: A file that this process wrote into the store; None when the store is no path.
        word: What stands in it.
        data: Directory of the data sets; None when this process has none either.
        reach: Raises an OrchError where a store that is no path cannot be used.
    """

    marker: str | None = None
    word: str = ""
    data: str | None = None
    reach: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one node has.

    Attributes:
        host: Its name.
        python: Its Python's version, major and minor.
        shared: Whether the marker is there and has the word.
        data: Whether the directory of the data sets is there.
        code: File of the `orchestrator` that it imports.
        unreached: Why it cannot use a store that is no path.
    """

    host: str
    python: str
    shared: bool
    data: bool
    code: str
    unreached: str = ""


def look(asked: Asked) -> Seen:
    """Returns what the machine that calls this sees."""
    import orchestrator

    found = ""
    if asked.marker is not None:
        with contextlib.suppress(OSError):
            found = Path(asked.marker).read_text(encoding="utf-8")
    unreached = ""
    if asked.reach is not None:
        try:
            asked.reach()
        except OrchError as error:
            unreached = str(error)
    return Seen(
        host=socket.gethostname(),
        python=_python(),
        shared=asked.marker is None or found == asked.word,
        data=asked.data is None or Path(asked.data).is_dir(),
        code=orchestrator.__file__,
        unreached=unreached,
    )


def check_nodes(*, store: Path | None, data: Path, reach: Callable[[], None] | None = None) -> Sequence[Seen]:
    """Returns what every living node of the connected cluster sees, when all of them can work.

    Args:
        store: Directory of the store, which every node must see; None when it is an object store.
        data: Directory of the data sets, which every node must have when this one has it.
        reach: Called on every node; raises an OrchError where an object store cannot be used.

    Raises:
        TargetError: Says which nodes cannot work and what they lack.
    """
    import ray

    nodes = _living(ray)
    with _marked(store) as (marker, word):
        asked = Asked(marker=marker, word=word, data=str(data) if data.is_dir() else None, reach=reach)
        answers = {node: _ask(ray, node, asked) for node in nodes}
        found = {node: _answer(ray, nodes[node], answer) for node, answer in answers.items()}
    if any(isinstance(each, str) for each in found.values()):
        # One that has died is listed as living for some seconds: it is no trouble of the study's.
        found = {node: each for node, each in found.items() if node in _living(ray)}
    seen = list(found.values())
    troubles = [trouble for each in seen for trouble in _troubles(each, store, data)]
    if troubles:
        raise TargetError(
            "the cluster cannot run this study:\n" + "\n".join(f"  {each}" for each in troubles)
        )
    return [each for each in seen if isinstance(each, Seen)]


def _living(ray: Any) -> dict[str, str]:
    """Returns node id -> host name of the nodes that are there."""
    return {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}


def _troubles(seen: Seen | str, store: Path | None, data: Path) -> Iterator[str]:
    if isinstance(seen, str):
        yield seen
        return
    if not seen.shared:
        yield (
            f"{seen.host} does not see the store {store}: give `store` a path that is shared by all nodes, "
            "or s3://bucket/prefix"
        )
    if seen.unreached:
        yield f"{seen.host}: {seen.unreached}"
    if not seen.data:
        yield f"{seen.host} has no directory {data}: put the data sets there on every node, or set `data_dir`"
    if seen.python != _python():
        yield f"{seen.host} runs Python {seen.python}, this driver {_python()}: results travel pickled"


def _ask(ray: Any, node: str, asked: Asked) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    where = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0)(look).options(scheduling_strategy=where).remote(asked)


def _answer(ray: Any, host: str, answer: Any) -> Seen | str:
    from ray.exceptions import GetTimeoutError, RayError

    try:
        seen: Seen = ray.get(answer, timeout=PROBE_S)
    except GetTimeoutError:
        return f"{host} did not answer within {PROBE_S:g} s"
    except (RayError, ImportError) as error:
        last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        return f"{host} cannot run our code: {last[0]}"
    return seen


@contextlib.contextmanager
def _marked(store: Path | None) -> Iterator[tuple[str | None, str]]:
    """Yields the path and content of a file that is in the store for the while."""
    word = uuid.uuid4().hex
    if store is None:
        yield None, word
        return
    path = store / f"{MARKER}{word[:12]}"
    try:
        path.write_text(word, encoding="utf-8")
    except OSError as error:
        raise TargetError(f"the store {store} cannot be written: {error.strerror or error}") from None
    try:
        yield str(path), word
    finally:
        path.unlink(missing_ok=True)


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
