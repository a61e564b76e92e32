"""YAML 1.2 scalars, and mutated files: a StudyError or success, nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from study_text import EXAMPLES

from orchestrator.errors import Problem, StudyError
from orchestrator.study.expand import count_cells
from orchestrator.study.load import load
from orchestrator.study.reader import compose, resolve_plain
from orchestrator.study.text import plain, written


def read(text: str) -> object:
    return plain(compose(text, "f").data())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("0x1F", 31),
        ("0o17", 15),
        ("+3", 3),
        ("no", "no"),
        ("012", "012"),
        ("12:30:00", "12:30:00"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("", None),
        ("-.inf", -math.inf),
        ("'1'", "1"),
        ('"\\u00e9"', "é"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = read(f"a: {text}\n")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)  # type: ignore[index]


def test_a_label_is_the_number_as_written() -> None:
    assert [written(resolve_plain(text)) for text in ("1e-3", "0x1F", "1.50", "14", "true")] == [
        "1e-3",
        "0x1F",
        "1.50",
        "14",
        "true",
    ]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_reads_the_examples_as_the_library_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    def words(value: object) -> object:  # keys are words here: 26/14, and the label 14
        if isinstance(value, dict):
            return {str(key): words(item) for key, item in value.items()}
        return [words(item) for item in value] if isinstance(value, list) else value

    assert read(text) == words(YAML(typ="safe", pure=True).load(text))


def test_aliases_share_and_places_are_of_the_use() -> None:
    node = compose("a: &x [1, 2]\nb: *x\n", "f")
    assert node.data() == {"a": [1, 2], "b": [1, 2]}
    assert node.keys["b"] == ("f", 2, 1)


SOURCE = (EXAMPLES / "dfn_ensemble.yaml").read_bytes()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.integers(0, len(SOURCE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
@example([(0, 0)])
def test_flipped_bytes_give_a_study_or_a_study_error(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(SOURCE)
    for position, byte in flips:
        content[position] = byte
    _only_study_errors(tmp_path, bytes(content))


TOKENS = st.sampled_from(
    ["[", "]", "{", "}", ": ", ", ", "&a ", "*a", "- ", "\n", "  ", "!!int ", "'", '"', "|", "? "]
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(st.integers(0, len(SOURCE)), TOKENS), min_size=1, max_size=5),
    st.integers(0, len(SOURCE)),
)
def test_inserted_tokens_and_cuts_give_a_study_or_a_study_error(
    tmp_path: Path, inserts: list[tuple[int, str]], cut: int
) -> None:
    text = SOURCE.decode()
    for position, token in inserts:
        text = text[:position] + token + text[position:]
    _only_study_errors(tmp_path, text[: cut or None].encode())


def _only_study_errors(folder: Path, content: bytes) -> None:
    path = folder / "fuzzed.yaml"
    path.write_bytes(content)
    problems: list[Problem] = []
    try:
        assert count_cells(load(path)) >= 0
    except StudyError as error:
        problems = list(error.problems)
        if not problems:
            raise
    assert all(each.message.isprintable() for each in problems)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab#-'\" \n", max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_what_the_library_writes_is_read_back(value: object) -> None:
    import io

    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump({"value": value}, stream)
    assert read(stream.getvalue()) == {"value": value}
