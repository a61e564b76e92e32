"""Where a study's text comes from: one file, or several that extend each other, merged into one node."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import StudyError
from orchestrator.study.reader import MAX_BYTES, MAX_DEPTH, MAX_NODES, Mark, Node, compose, refuse
from orchestrator.study.text import quoted_path, shown

MAX_EXTENDS: Final = 4
SUFFIXES: Final = (".yaml", ".yml")


def read(path: Path) -> Node:
    """Returns the study document at a path, merged over what it extends.

    Raises:
        StudyError: The file cannot be read, is not valid, or extends in a circle or too deep.
    """
    return _extended(compose(_text(path, ("", 0, 0)), str(path)), path, (path,))


def from_plain(document: Mapping[str, Any], file: str) -> Node:
    """Returns the node of a document that was not read from text; it has no places.

    Raises:
        StudyError: Not plain data, or past the limits of a file.
    """
    node = _node(document, file, 0)
    if node.size > MAX_NODES:
        raise refuse(file, "too-many-nodes", f"more than {MAX_NODES:,} nodes")
    return _extended(node, Path(file), (Path(file),))


def _node(value: Any, file: str, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise refuse(file, "too-deep", f"nested deeper than {MAX_DEPTH} levels")
    mark = (file, 0, 0)
    if isinstance(value, Mapping):
        children = {str(key): _node(item, file, depth + 1) for key, item in value.items()}
        size = 1 + sum(child.size for child in children.values())
        return Node(value=children, mark=mark, keys=dict.fromkeys(children, mark), size=size)
    if isinstance(value, list | tuple):
        items = [_node(item, file, depth + 1) for item in value]
        return Node(value=items, mark=mark, size=1 + sum(item.size for item in items))
    if value is None or isinstance(value, bool | int | float | str):
        return Node(value=value, mark=mark)
    raise refuse(file, "wrong-type", f"a study is plain data, got {type(value).__name__} {shown(value)}")


# --- files ------------------------------------------------------------------------------------------


def _text(path: Path, asked: Mark) -> str:
    """Returns the text of a regular UTF-8 file of reasonable size; `asked` is who wants it."""

    def fault(code: str, message: str) -> StudyError:
        file, line, column = asked if asked[1] else (str(path), 0, 0)
        return refuse(file, code, message, line, column)

    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise fault("unreadable", f"{path} is a directory; name a study file in it")
        if not stat.S_ISREG(status.st_mode):
            raise fault("unreadable", f"{path} is not a regular file")
        if status.st_size > MAX_BYTES:
            size = status.st_size / MAX_BYTES
            raise fault("too-large", f"{path} has {size:.1f} MiB; a study file has at most 1 MiB")
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except StudyError:
        raise  # it is a ValueError too
    except FileNotFoundError:
        raise fault("not-found", f"{path} not found{_near(path)}") from None
    except PermissionError:
        raise fault("unreadable", f"no permission to read {path}") from None
    except (OSError, ValueError) as error:
        raise fault("unreadable", f"cannot read {quoted_path(path)}: {error}") from None
    if len(content) > MAX_BYTES:
        raise fault("too-large", f"{path} has more than 1 MiB; a study file has at most 1 MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = " (it looks like UTF-16)" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        message = f"{path} is not UTF-8 at byte {error.start}{hint}; save it as UTF-8"
        raise fault("not-utf-8", message) from None


def _near(path: Path) -> str:
    try:
        names = sorted(each.name for each in path.parent.iterdir() if each.suffix in SUFFIXES)
    except OSError:
        return f"; the directory {path.parent} does not exist either"
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.3) or names[:3]
    return f"; study files there: {', '.join(near)}" if near else "; there is no study file in that directory"


# --- extends ----------------------------------------------------------------------------------------


def _extended(node: Node, path: Path, chain: tuple[Path, ...]) -> Node:
    assert isinstance(node.value, dict)
    if "extends" not in node.value:
        return node
    wanted = node.value["extends"]
    place = wanted.mark

    def fault(code: str, message: str) -> StudyError:
        return refuse(place[0], code, message, place[1], place[2])

    if not isinstance(wanted.value, str) or not wanted.value.endswith(SUFFIXES):
        raise fault(
            "bad-extends",
            f"extends names one study file ({' or '.join(SUFFIXES)}), got {shown(wanted.value)}",
        )
    target = Path(os.path.normpath(path.parent / wanted.value))
    names = " -> ".join(str(each) for each in (*chain, target))
    if any(os.path.realpath(target) == os.path.realpath(each) for each in chain):
        raise fault("extends-circle", f"extends goes in a circle: {names}")
    if len(chain) > MAX_EXTENDS:
        raise fault("extends-depth", f"extends is at most {MAX_EXTENDS} deep, got {names}")
    if "study" not in node.value:
        raise fault("missing-key", "a file that extends another must name its own 'study'")
    base = _extended(compose(_text(target, place), str(target)), target, (*chain, target))
    merged = merge(base, node)
    assert isinstance(merged.value, dict)
    merged.value.pop("extends", None)
    return merged


def merge(base: Node, over: Node) -> Node:
    """Returns `over` deep-merged over `base`: mappings merge, all else replaces, null removes."""
    if not isinstance(over.value, dict):
        return over
    entries: dict[str, Node] = {}
    keys: dict[str, Mark] = {}
    if isinstance(base.value, dict):
        entries.update(base.value)
        keys.update(base.keys)
    for key, node in over.value.items():
        if node.value is None:
            entries.pop(key, None)
            keys.pop(key, None)
            continue
        entries[key] = merge(entries[key], node) if key in entries else _without_nulls(node)
        keys[key] = over.keys[key]
    return Node(value=entries, mark=over.mark, keys=keys, inline=over.inline, size=_size(entries))


def _without_nulls(node: Node) -> Node:
    """Returns the node as merging it over an empty mapping would leave it."""
    if not isinstance(node.value, dict):
        return node
    entries = {key: _without_nulls(item) for key, item in node.value.items() if item.value is not None}
    keys = {key: node.keys[key] for key in entries}
    return Node(value=entries, mark=node.mark, keys=keys, inline=node.inline, size=_size(entries))


def _size(entries: Mapping[str, Node]) -> int:
    return 1 + sum(each.size for each in entries.values())
