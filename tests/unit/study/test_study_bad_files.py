"""Bad study files beside single mistakes: what is no study file, names, secrets, sizes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from small_workload import SPEC
from study_text import DEPTH, FACTORS, HEAD, problems, write

from orchestrator.errors import StudyError
from orchestrator.study.load import load
from orchestrator.study.plan import plan
from tests.inputs.bad_names import BAD_NAMES


def test_b3_scientific_notation_is_a_number(tmp_path: Path) -> None:
    study = load(write(tmp_path, HEAD + DEPTH + "config: {optimizer: {lr: 1e-3}}"))
    assert study.config["optimizer"]["lr"] == 0.001
    assert isinstance(plan(study, SPEC).cells[0].config["optimizer"]["lr"], float)


def test_b4_text_stays_text(tmp_path: Path) -> None:
    text = "title: 012\npaper: 12:30:00\nnotes: 1.10\nconfig: {note: no}\n"
    study = load(write(tmp_path, HEAD + DEPTH + text))
    assert (study.title, study.paper, study.notes, study.config["note"]) == ("012", "12:30:00", "1.10", "no")


@pytest.mark.parametrize(
    ("text", "got"), [("", "nothing"), ("# only\n# words\n", "nothing"), ("[1]", "a list")]
)
def test_b6_no_mapping(tmp_path: Path, text: str, got: str) -> None:
    (found,) = problems(tmp_path, text, head="")
    assert found.code == "not-a-mapping"
    assert f"got {got}" in found.message


def test_b7_files_that_are_no_text(tmp_path: Path) -> None:
    def told(path: Path) -> str:
        began = time.monotonic()
        with pytest.raises(StudyError) as caught:
            load(path)
        assert time.monotonic() - began < 2
        return str(caught.value)

    binary = tmp_path / "a.yaml"
    binary.write_bytes(b"study: \xff\xfe")
    assert "not UTF-8 at byte 7" in told(binary)
    binary.write_bytes("study: s".encode("utf-16"))
    assert "not UTF-8 at byte 0 (it looks like UTF-16)" in told(binary)
    with open(binary, "wb") as stream:
        stream.truncate(50 << 20)
    assert "50.0 MiB; a study file has at most 1 MiB" in told(binary)
    assert "is a directory" in told(tmp_path)
    assert "a.yaml" in told(tmp_path / "b.yaml")
    assert "does not exist either" in told(tmp_path / "none" / "b.yaml")
    fifo = tmp_path / "pipe.yaml"
    os.mkfifo(fifo)
    assert "not a regular file" in told(fifo)
    assert "cannot read" in told(Path("a\0b.yaml"))


def test_b7_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + DEPTH).encode())
    assert load(path).name == "s"


def test_b8_alias_bomb(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    began = time.monotonic()
    (found,) = problems(tmp_path, "\n".join(lines))
    assert found.code == "too-many-nodes"
    assert "10,000 nodes after alias expansion" in found.message
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("x" * 10**6, []),
        ("'" + "x''" * 300_000 + "'", []),
        ("'://" + ":" * 10**6 + "'", []),
        ("'" + "${secret:" * 100_000 + "'", ["reference"]),
    ],
    ids=["letters", "quotes", "address", "reference"],
)
def test_b7_a_megabyte_of_one_word_is_read_in_one_pass(tmp_path: Path, value: str, codes: list[str]) -> None:
    began = time.process_time()
    text = DEPTH + f"title: {value}\n"
    if codes:
        assert [each.code for each in problems(tmp_path, text)] == codes
    else:
        assert len(load(write(tmp_path, HEAD + text)).title) > 100_000
    assert time.process_time() - began < 30  # a second on an idle machine; quadratic work takes an hour


def test_b11_tags_are_refused_and_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (found,) = problems(tmp_path, DEPTH + f"title: !!python/object/apply:os.system ['touch {marker}']")
    assert (found.line, found.code) == (8, "tag")
    assert "not allowed" in found.message
    assert not marker.exists()


def test_b13_a_billion_trials_are_refused_by_counting(tmp_path: Path) -> None:
    factors = "".join(f"    f{i}: {{path: epochs, levels: {{range: [1, 11]}}}}\n" for i in range(9))
    began = time.monotonic()
    (found,) = problems(tmp_path, FACTORS + factors)
    assert found.code == "too-many-trials"
    assert "1,000,000,000 trials; limit 100,000 (--max-trials)" in found.message
    assert time.monotonic() - began < 5  # a fraction of a second on an idle machine


def test_b13_draws_and_conditions_count(tmp_path: Path) -> None:
    text = "evaluate: {reorder: {vary: {swaps: {levels: {range: [0, 1000]}}}, draws: 100}}"
    (found,) = problems(tmp_path, DEPTH + text)
    assert "200,002 trials" in found.message


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("place", ["study", "factor", "evaluation", "table"])
def test_b16_names(tmp_path: Path, name: str, place: str) -> None:
    text = {
        "study": f'api_version: 1\nworkload: small\nstudy: "{name}"\n' + DEPTH,
        "factor": HEAD + FACTORS + f'    "{name}": {{path: epochs, levels: [1]}}\n',
        "evaluation": HEAD + DEPTH + f'evaluate: {{"{name}": {{family: delete_one}}}}\n',
        "table": HEAD + DEPTH + f'tables: {{"{name}": {{rows: depth, metric: test_error}}}}\n',
    }[place]
    (found,) = problems(tmp_path, text, head="", planning=False)
    assert found.code == "bad-name"
    assert "[A-Za-z0-9][A-Za-z0-9._-]{0,63}" in found.message
    assert found.message.isprintable()


@pytest.mark.parametrize(("version", "got"), [("", "nothing"), ("2", "2"), ("'1'", "string '1'")])
def test_b28_api_version(tmp_path: Path, version: str, got: str) -> None:
    (found,) = problems(
        tmp_path, f"api_version: {version}\nstudy: s\nworkload: w\n" + DEPTH, head="", planning=False
    )
    assert found.code == "api-version"
    assert "supported: 1" in found.message
    assert got in found.message


def test_b28_api_version_missing(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "study: s\nworkload: w\n" + DEPTH, head="", planning=False)
    assert found.code == "missing-key"
    assert "'api_version'; supported: 1" in found.message


def test_b35_secrets_are_refused_and_never_repeated(tmp_path: Path) -> None:
    text = DEPTH + "config: {api_key: hunter2, note: 'http://me:hunter2@host/', password: '${secret:PW}'}"
    found = problems(tmp_path, text, planning=False)
    assert [each.code for each in found] == ["secret", "secret"]
    assert all("hunter2" not in str(each) for each in found)
    assert "${secret:NAME}" in found[0].message
