"""Strict YAML 1.2: text to nodes that know their place, with limits that hold before anything grows.

Nodes are built from the parser's events, so that depth, size and aliases are checked while reading and
no tag ever constructs an object. Scalars follow the YAML 1.2 core schema with one exception: a
number with leading zeros (012) stays text, since it is an identifier more often than a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from orchestrator.errors import Problem, StudyError
from orchestrator.study.text import Scalar, WrittenFloat, WrittenInt, quoted

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 10_000
MAX_DEPTH: Final = 64

Mark: TypeAlias = tuple[str, int, int]  # file, 1-based line, 1-based column

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS: Final = MappingProxyType(
    {
        **dict.fromkeys(("true", "True", "TRUE"), True),
        **dict.fromkeys(("false", "False", "FALSE"), False),
    }
)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_BASED = re.compile(r"0x[0-9a-fA-F]{1,99}|0o[0-7]{1,99}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]{0,99})(\.[0-9]*)?)([eE][-+]?[0-9]{1,9})?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of the file and where it stands.

    Attributes:
        value: A scalar, key -> node, or a list of nodes.
        mark: Where the value begins.
        keys: Where each key of a mapping stands.
        inline: Whether the value begins beside its key (a scalar, or a collection in brackets).
        size: Number of nodes in it, aliases expanded.
    """

    value: Scalar | dict[str, Node] | list[Node]
    mark: Mark
    keys: Mapping[str, Mark] = field(default_factory=dict)
    inline: bool = True
    size: int = 1

    def data(self) -> Any:
        """Returns the value without places; numbers remember how they were written."""
        if isinstance(self.value, dict):
            return {key: node.data() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.data() for node in self.value]
        return self.value

    def walk(self, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Node, Mark]]:
        """Yields (path, node, mark of its key or itself) of everything below, in the order of the text."""
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield (*path, key), node, self.keys[key]
                yield from node.walk((*path, key))
        elif isinstance(self.value, list):
            for index, node in enumerate(self.value):
                yield (*path, index), node, node.mark
                yield from node.walk((*path, index))


def refuse(file: str, code: str, message: str, line: int = 0, column: int = 0) -> StudyError:
    """Returns the error for one problem that ends reading."""
    return StudyError([Problem(file=file, line=line, column=column, code=code, message=message)])


def resolve_plain(text: str) -> Scalar:
    """Returns the value of an unquoted scalar by the YAML 1.2 core schema."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text) or _BASED.fullmatch(text):
        number = int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if str(number) == text:
            return number
        remembered = WrittenInt(number)
        remembered.written = text
        return remembered
    if _FLOAT.fullmatch(text):
        value = WrittenFloat(
            text.replace(".inf", "inf").replace(".nan", "nan") if text.islower() else _loud(text)
        )
        value.written = text
        return value
    return text


def _loud(text: str) -> str:
    return text.lower().replace(".inf", "inf").replace(".nan", "nan")


def compose(text: str, file: str) -> Node:
    """Returns the one mapping that a study file holds.

    Raises:
        StudyError: Syntax, duplicate keys, tags, limits, recursion, several documents, no mapping.
    """
    try:
        node = _Composer(file).run(text)
    except StudyError:
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise refuse(file, "yaml-syntax", f"not valid YAML: {_syntax(error, line)}", line, column) from None
    except YAMLError as error:
        lines = str(error).splitlines() or ["unreadable"]
        raise refuse(file, "yaml-syntax", f"not valid YAML: {lines[0]}") from None
    except Exception as error:  # the parser raises many kinds on malformed escapes and directives
        raise refuse(file, "yaml-syntax", f"not valid YAML: {type(error).__name__}: {error}") from None
    if node is None:
        raise refuse(file, "not-a-mapping", "expected a mapping (api_version, study, ...), got nothing")
    return node


def _syntax(error: MarkedYAMLError, line: int) -> str:
    """Returns what the parser says, where what it was in the midst of began, and what helps most often."""
    problem, begun = str(error.problem or ""), error.context_mark
    context = str(error.context or "")
    if context and begun is not None and begun.line + 1 != line:
        context += f" that begins at line {begun.line + 1}"
    hint = ""
    if "'\\t'" in problem:
        hint = "; indent with spaces, YAML takes no tabs there"
    elif "expected ',' or" in problem:
        hint = "; is a closing bracket or a comma missing before this?"
    elif "mapping values are not allowed" in problem:
        hint = "; is it indented too far, or does a text with ': ' in it need quotes?"
    elif "cannot start any token" in problem or "could not find expected ':'" in problem:
        hint = "; put quotes around texts that begin with a sign, and a ': ' after each key"
    return ", ".join(part for part in (context, problem) if part) + hint


def parse_value(text: str, file: str) -> Any:
    """Returns a single value written as a YAML 1.2 scalar or flow collection."""
    if "\n" in text or "\r" in text:
        raise refuse(file, "yaml-syntax", "a value is written on one line")
    wrapped = compose("value: " + text, file)
    if not isinstance(wrapped.value, dict) or list(wrapped.value) != ["value"]:
        raise refuse(file, "yaml-syntax", f"expected one value, got {quoted(text)}")
    return wrapped.value["value"].data()


@dataclass(slots=True)
class _Frame:
    """A collection that is still open."""

    mark: Mark
    mapping: bool
    inline: bool
    anchor: str | None
    key: str | None = None
    key_mark: Mark | None = None
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Mark] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)


class _Composer:
    """Turns events into nodes; one use."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Node] = {}
        self.root: Node | None = None

    def run(self, text: str) -> Node | None:
        documents = 0
        yaml = YAML(typ="safe", pure=True)
        for event in yaml.parse(text):
            mark = (self.file, event.start_mark.line + 1, event.start_mark.column + 1)
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.fault(
                        "several-documents", "a study file is one document only; drop the '---'", mark
                    )
            elif isinstance(event, ScalarEvent):
                self.scalar(event, mark)
            elif isinstance(event, AliasEvent):
                self.alias(event, mark)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self.open(event, mark)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self.close()
        return self.root

    def fault(self, code: str, message: str, mark: Mark) -> StudyError:
        return refuse(self.file, code, message, mark[1], mark[2])

    def scalar(self, event: ScalarEvent, mark: Mark) -> None:
        self.check_tag(event, mark)
        if self.expects_key():
            # keys are words: depth: {14: ...} has the label "14"
            self.take_key(event.value, mark, plain_text=event.style is None)
            return
        value = resolve_plain(event.value) if event.style is None else event.value
        node = Node(value=value, mark=mark)
        self.remember(event.anchor, node)
        self.add(node)

    def alias(self, event: AliasEvent, mark: Mark) -> None:
        if any(frame.anchor == event.anchor for frame in self.stack):
            raise self.fault("recursive-alias", f"recursive alias *{event.anchor} at line {mark[1]}", mark)
        node = self.anchors.get(str(event.anchor))
        if node is None:
            raise self.fault("unknown-alias", f"alias *{event.anchor} has no anchor before it", mark)
        if self.expects_key():
            if isinstance(node.value, dict | list):
                raise self.fault("key-not-text", "a key must be a word, got an alias of a collection", mark)
            self.take_key(str(node.value), mark, plain_text=False)
            return
        self.add(node)

    def open(self, event: MappingStartEvent | SequenceStartEvent, mark: Mark) -> None:
        self.check_tag(event, mark)
        if self.expects_key():
            raise self.fault("key-not-text", "a key must be a word, got a collection", mark)
        if len(self.stack) >= MAX_DEPTH:
            raise self.fault("too-deep", f"nested deeper than {MAX_DEPTH} levels", mark)
        mapping = isinstance(event, MappingStartEvent)
        if not self.stack and not mapping:
            raise self.fault(
                "not-a-mapping", "expected a mapping (api_version, study, ...), got a list", mark
            )
        self.stack.append(
            _Frame(mark=mark, mapping=mapping, inline=bool(event.flow_style), anchor=event.anchor)
        )

    def close(self) -> None:
        frame = self.stack.pop()
        children = list(frame.entries.values()) if frame.mapping else frame.items
        node = Node(
            value=frame.entries if frame.mapping else frame.items,
            mark=frame.mark,
            keys=frame.keys,
            inline=frame.inline,
            size=1 + sum(child.size for child in children),
        )
        # its children were counted when they were added
        self.count -= node.size - 1
        self.remember(frame.anchor, node)
        self.add(node)

    def remember(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self.anchors[str(anchor)] = node

    def expects_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].mapping and self.stack[-1].key is None

    def take_key(self, key: str, mark: Mark, *, plain_text: bool) -> None:
        frame = self.stack[-1]
        if key == "<<" and plain_text:
            raise self.fault(
                "merge-key", "merge keys (<<) are not part of YAML 1.2; write it out, or use `extends`", mark
            )
        if key in frame.keys:
            first = frame.keys[key][1]
            raise self.fault("duplicate-key", f"duplicate key {quoted(key)} (first at line {first})", mark)
        frame.key, frame.key_mark = key, mark
        frame.keys[key] = mark

    def add(self, node: Node) -> None:
        self.count += node.size
        if self.count > MAX_NODES:
            raise self.fault(
                "too-many-nodes", f"more than {MAX_NODES:,} nodes after alias expansion", node.mark
            )
        if not self.stack:
            if not isinstance(node.value, dict):
                got = "nothing" if node.value is None else "a single value"
                raise self.fault(
                    "not-a-mapping", f"expected a mapping (api_version, study, ...), got {got}", node.mark
                )
            self.root = node
            return
        frame = self.stack[-1]
        if frame.mapping:
            assert frame.key is not None
            frame.entries[frame.key] = node
            frame.key = None
        else:
            frame.items.append(node)

    def check_tag(self, event: Any, mark: Mark) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) != "!":
            raise self.fault("tag", f"tag {quoted(str(tag))} is not allowed: a study is plain data", mark)
