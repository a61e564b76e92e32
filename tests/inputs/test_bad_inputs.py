"""Bad inputs B1 to B35, each through the command line as a user meets it.

What stands behind them has tests of its own: unit/study/test_study_bad_inputs.py and its neighbours for the
language, unit/registry for addresses and databases, numerics/test_photos.py for folders of photographs.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from orchestrator.errors import TargetError
from orchestrator.execution.history import checked_metrics
from orchestrator.registry.location import require_local
from tests.inputs.bad_names import BAD_NAMES
from tests.inputs.refusals import DESIGN, HEAD, SOUND, TOY, Place, check_shape
from tests.street.orch import Orch


@pytest.fixture
def place(tmp_path: Path) -> Place:
    orch = Orch(directory=tmp_path)
    (tmp_path / "study.yaml").write_text(SOUND)
    orch("validate", "study.yaml")  # what is imported once is nobody's fault
    return Place(orch=orch)


def config(text: str) -> str:
    return HEAD + f"config: {{data: {{name: digits}}, {text}}}\n" + DESIGN


def factor(text: str) -> str:
    return SOUND + f"    {text}\n"


def test_B01_unknown_key(place: Place) -> None:
    place.refused(config("epocs: 3"), "did you mean 'epochs'?", "batch_size")
    place.refused(SOUND + "sedes: 3\n", "did you mean 'seeds'?", "allowed: ")


def test_B02_wrong_type(place: Place) -> None:
    place.refused(config('epochs: "ten"'), "study.yaml:4:", "an integer", "string 'ten'")
    place.refused(config("epochs: 1.5"), "an integer", "number 1.5")
    place.refused(factor("a: {path: epochs, levels: 3}"), "a list of values", "integer 3")


def test_B03_scientific_numbers_are_numbers(place: Place) -> None:
    place.taken(config("optimizer: {lr: 1e-3}"))
    planned = place.taken(TOY.replace("levels: [1, 2]", "levels: [1e-3, 2E2]"), "plan study.yaml --json").json
    assert [cell["config"]["x"] for cell in planned["cells"]] == [0.001, 200.0]


def test_B04_text_that_looks_like_something_else(place: Place) -> None:
    place.taken(SOUND + "title: no\nnotes: 012\npaper: 12:30:00\n")
    place.refused(config("epochs: 012"), "an integer", "'012'")
    place.refused(config("epochs: 12:30:00"), "'12:30:00'")


def test_B05_duplicate_key(place: Place) -> None:
    place.refused(SOUND + "seeds: 1\nseeds: 2\n", "duplicate key 'seeds' (first at line 9)")


def test_B06_what_is_no_yaml(place: Place) -> None:
    place.refused(SOUND + "seeds: [1, 2\n", "error[yaml-syntax]", "that begins at line 9", "closing bracket")
    place.refused(HEAD + "config:\n\tepochs: 1\n", "study.yaml:5:1", "tabs")
    for text, got in (
        ("", "nothing"),
        ("# only words\n", "nothing"),
        ("- a\n", "a list"),
        ("word\n", "a single"),
    ):
        place.refused(text, "expected a mapping", f"got {got}")
    place.refused(SOUND + "---\nstudy: b\n", "one document only")


def test_B07_what_is_no_file_of_text(place: Place) -> None:
    place.refused(b"study: \xff\xfe", "not UTF-8 at byte 7")
    place.refused(SOUND.encode("utf-16"), "it looks like UTF-16")
    place.refused(b"\0" * (50 << 20), "50.0 MiB", "at most 1 MiB")
    place.refused(SOUND, "is a directory", command="validate .")
    place.refused(SOUND, "not found", "study.yaml", command="validate studdy.yaml")
    os.mkfifo(place.folder / "pipe.yaml")
    place.refused(SOUND, "not a regular file", command="validate pipe.yaml")
    place.refused(SOUND, "not a regular file", command="validate /dev/zero")
    assert "ok" in place.taken("\ufeff" + SOUND).out


def test_B08_alias_bomb(place: Place) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    place.refused("\n".join(lines), "10,000 nodes after alias expansion")


def test_B09_recursive_alias(place: Place) -> None:
    place.refused(config("network: &a [*a]"), "recursive alias *a at line 4")


def test_B10_deep_nesting(place: Place) -> None:
    for opening in ("[", "{a: "):
        place.refused("a: " + opening * 3000, "deeper than 64 levels")


def test_B11_tags_run_nothing(place: Place) -> None:
    marker = place.folder / "marker"
    for tag in (
        f"!!python/object/apply:os.system ['touch {marker}']",
        "!!python/name:os.system",
        "!include x",
    ):
        place.refused(SOUND + f"title: {tag}\n", "error[tag]", "plain data")
    assert not marker.exists()


def test_B12_nothing_to_vary(place: Place) -> None:
    place.refused(factor("a: {path: epochs, levels: []}"), "'a' has no values")
    place.refused(HEAD + "design: {type: factorial, factors: {}}\n", "no factors")
    place.refused(SOUND + "seeds: []\n", "seeds has no values")


def test_B13_a_billion_trials_are_counted_not_made(place: Place) -> None:
    many = "".join(f"    f{i}: {{path: epochs, levels: {{range: [1, 11]}}}}\n" for i in range(9))
    place.refused(HEAD + DESIGN.rpartition("    depth")[0] + many, "1,000,000,000 trials", "--max-trials")
    place.refused(SOUND + "seeds: 60000\n", "120,000 trials; limit 100,000")


def test_B14_the_same_twice(place: Place) -> None:
    place.refused(factor("a: {path: optimizer.lr, levels: [1, 1.0]}"), "same value")
    # two levels that mean the same computation: told, not refused
    same = "    path: {path: network.path, levels: [LLL]}\n"
    text = SOUND.replace("name: resnet", "name: component") + same
    assert any(
        "the same computation" in note for note in place.taken(text, "plan study.yaml --json").json["notes"]
    )


def test_B15_names_that_differ_by_case_or_form(place: Place) -> None:
    place.refused(factor("Depth: {path: epochs, levels: [1]}"), "already used at line 8 as 'depth'")
    place.refused(factor("a: {path: epochs, levels: {\u00e9: 1, e\u0301: 2}}"), "already used")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_B16_names(place: Place, name: str) -> None:
    place.refused(
        SOUND.replace("study: s", f'study: "{name}"'), "error[bad-name]", "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
    )


def test_B17_circles_and_unknown_factors(place: Place) -> None:
    place.refused(
        factor("a: {path: epochs, levels: [1], when: {b: 2}}")
        + "    b: {path: batch_size, levels: [2], when: {a: 1}}\n",
        "a -> b -> a",
    )
    place.refused(SOUND + "extends: study.yaml\n", "error[extends-circle]", "study.yaml -> study.yaml")
    place.refused(SOUND + "evaluate: {vote: {gather: dept, as: {depth: all}}}\n", "did you mean 'depth'?")
    place.refused(SOUND + "tables: {t: {metric: test_error}}\n", "'depth'", "'14' and '26'")


def test_B18_references(place: Place) -> None:
    place.refused(SOUND + "title: run of ${HOME}\n", "${HOME}", "--set")
    place.refused(SOUND + "title: '${secret:NAME}'\n", "error[secret-place]", "in config")


def test_B19_unknown_workload(place: Place) -> None:
    place.refused(SOUND.replace("classification", "clasification"), "did you mean 'classification'?")
    place.refused(TOY.replace(":SPEC", ":NOTHING"), "error[workload-import]", "has no 'NOTHING'")


def test_B20_parameters(place: Place) -> None:
    place.refused(SOUND + "evaluate: {delete_one: {set: {modul: 1}}}\n", "did you mean")
    place.refused(config("optimizer: {lr: -1}"), "lr", "-1")


@pytest.mark.parametrize(
    "text",
    [
        *("optimizer: {lr: .nan}", "optimizer: {lr: .inf}", "optimizer: {lr: -1}", "optimizer: {lr: 1e999}"),
        *("epochs: -1", "batch_size: 0", "epochs: true", "optimizer: {momentum: 1.5}"),
    ],
)
def test_B21_values_out_of_range(place: Place, text: str) -> None:
    name = text.rpartition("{")[2].partition(":")[0]
    place.refused(config(text), "error[bad-value]", name)
    place.refused(SOUND + f"seeds: [{2**70}]\n", "2^63 - 1")


def test_B22_tables(place: Place) -> None:
    place.refused(SOUND + "tables: {t: {rows: depth, metric: tset_error}}\n", "did you mean 'test_error'")
    place.refused(
        SOUND + "tables: {t: {rows: depth, metric: test_error, best: maxx}}\n", "did you mean 'max'"
    )
    place.refused(SOUND + "tables: {t: {rows: dept, metric: test_error}}\n", "did you mean 'depth'")
    place.taken(TOY, "submit study.yaml")
    (table,) = place.orch("table", "toy", "--json").json["tables"]
    assert [row[0]["text"].count("–") for row in table["entries"]] == [1, 1]  # of one seed there is no std


def test_B23_more_than_any_node_has(place: Place) -> None:
    from orchestrator.execution import ray_fleet

    # On a cluster: unit/execution/test_execution_fleet.py; a node that may come later is waited for.
    assert "no node" in Path(ray_fleet.__file__).read_text()


def test_B24_folders_of_data_that_are_none(place: Place) -> None:
    (place.folder / "loop").symlink_to("loop")
    (place.folder / "file").write_text("")
    (place.folder / "empty").mkdir()
    for name in ("nowhere", "loop", "file", "empty"):
        done = place.orch("data", "check", "cifar10", name, code=1)
        check_shape(done)
        assert f"in {name}" in done.err


def test_B25_data_that_differ(place: Place) -> None:
    folder = place.folder / "data" / "cifar10"
    folder.mkdir(parents=True)
    (folder / "cifar-10-python.tar.gz").write_bytes(b"not the archive")
    done = place.orch("data", "check", "cifar10", code=1)
    check_shape(done)
    assert "published md5" in done.err
    # a folder whose files changed after the plan: numerics/test_photos.py


def test_B26_stores_that_cannot_be(place: Place) -> None:
    (place.folder / "file").write_text("")
    (place.folder / "study.yaml").write_text(TOY)
    for store in ("file", "/proc/nothing"):
        done = place.orch("submit", "study.yaml", "--store", store, code=5)
        check_shape(done)
        assert f"{store} cannot be written" in done.err
        assert "--store DIR or ORCH_STORE" in done.err
    with pytest.raises(TargetError, match="Postgres"):
        require_local(place.folder, "nfs4")
    (place.folder / "data").mkdir()
    place.told("submit study.yaml --store data/store", "within the data", "--store DIR")
    with mock.patch.dict(place.orch.environment, {"ORCH_MIN_FREE_GB": "1e9"}):
        done = place.orch("submit", "study.yaml", "--store", "small", code=5)
    check_shape(done)
    assert "GB free, allowed is 1e+09 GB or more" in done.err
    assert "--store DIR or ORCH_STORE" in done.err
    assert not (place.folder / "small").exists()


def test_B27_databases_of_other_versions(place: Place) -> None:
    store = place.folder / "store"
    store.mkdir()
    (store / "registry.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    done = place.orch("status", code=6)
    check_shape(done)
    assert "registry.db is damaged" in done.err
    assert "backups/" in done.err
    # newer, older, half migrated, another program's: unit/registry/test_registry_schema.py


def test_B28_versions_of_the_language(place: Place) -> None:
    for version in ("2", "'1'", "x", ""):
        place.refused(SOUND.replace("api_version: 1", f"api_version: {version}"), "supported: 1")
    place.refused(SOUND.replace("api_version: 1\n", ""), "supported: 1")


def test_B29_addresses_of_databases(place: Place) -> None:
    for url in (
        "postgresql://me:hunter2@127.0.0.1:1/db",
        "mysql://me:hunter2@h/d",
        "no address://x:hunter2@",
    ):
        with mock.patch.dict(place.orch.environment, {"ORCH_REGISTRY_URL": url}):
            done = place.orch("status", code=5)
        check_shape(done)
        assert "hunter2" not in done.err + done.out


def test_B30_studies_that_cannot_be_resumed(place: Place) -> None:
    place.told("resume toy", "no store", code=3)
    place.taken(TOY, "submit study.yaml")
    assert "did you mean toy" in place.orch("resume", "toi", code=3).err
    assert place.orch("resume", "toy", "--json").json["trained"] == 0
    # held by another driver: recovery/test_driver_death.py


def test_B31_a_file_that_changed(place: Place) -> None:
    place.taken(TOY, "submit study.yaml")
    (place.folder / "study.yaml").write_text(TOY.replace("[1, 2]", "[1, 3]"))
    assert place.orch("resume", "toy", "--json").json["trained"] == 0  # the recorded plan
    assert place.orch("plan", "study.yaml", "--json").json["counts"]["to_run"] == 1
    # data and code: recovery/test_damage.py, street/test_code.py


def test_B32_the_command_line(place: Place) -> None:
    place.told("plan study.yaml --limit -1", "usage: orch plan", "greater than or equal to 0")
    place.told("plan study.yaml --seeds x", "--seeds", "a range 0-4")
    place.told("plan", "STUDY.yaml", "usage: orch plan")
    place.told("statsu", "did you mean 'status'?", "usage: ")
    place.told("plan study.yaml --limt 3", "--limit", "usage: ")
    place.told("plan study.yaml --set epochs", "expected PATH=VALUE")
    (place.folder / "study.yaml").write_text(TOY)
    place.orch("submit", "study.yaml")
    assert "md, latex" in place.orch("table", "toy", "--format", "xlsx", code=2).err
    done = subprocess.run(
        place.orch.command("table", "toy"),
        cwd=place.folder,
        env={**place.orch.env, "COLUMNS": "40", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    # a pipe that closes: street/test_command_line.py


def test_B33_what_workloads_return() -> None:
    from orchestrator.execution.failures import ReportError

    class Zero:  # in the manner of arrays and tensors
        shape = ()

        def item(self) -> float:
            return 0.5

    assert checked_metrics({"a": Zero(), "b": True, "c": 1}) == {"a": 0.5, "b": 1.0, "c": 1.0}
    for metrics, said in (
        (None, "None"),
        ("text", "text"),
        ({"a": None}, "'a'"),
        ({"a": {"b": 1}}, "'a'"),
        ({"a\nb": 1}, "printable"),
        ({f"m{n}": 0.0 for n in range(10_001)}, "10,001"),
    ):
        with pytest.raises(ReportError, match=said):
            checked_metrics(metrics)


def test_B34_the_same_study_again(place: Place) -> None:
    place.taken(TOY, "submit study.yaml")
    again = place.orch("submit", "study.yaml", "--json").json
    assert (again["trained"], again["evaluated"]) == (0, 0)


def test_B35_secrets_written_out(place: Place) -> None:
    for text in (
        "token: hunter2",
        "api_key: hunter2",
        "network: {password: hunter2}",
        "note: 'http://a:hunter2@b/'",
    ):
        told = place.refused(config(text), "error[secret]", "${secret:NAME}")
        assert "hunter2" not in told
    (place.folder / "study.yaml").write_text(SOUND)
    told = place.told("plan study.yaml --set optimizer.token=hunter2", "${secret:NAME}")
    assert "hunter2" not in told


def test_everything_wrong_is_told_at_once_and_as_json(place: Place) -> None:
    text = (
        SOUND.replace("epochs: 2", "epocs: 2") + "sedes: 3\ntables: {t: {rows: dept, metric: test_error}}\n"
    )
    told = place.refused(text)
    assert [line.partition("error[")[2].partition("]")[0] for line in told.splitlines()] == [
        "unknown-path",
        "unknown-key",
        "unknown-dimension",
    ]
    document = place.orch("validate", "study.yaml", "--json", code=2).json
    assert (document["kind"], document["exit_code"], document["code"]) == ("error", 2, "study")
    assert [each["line"] for each in document["problems"]] == [4, 9, 10]


def test_there_is_a_traceback_only_when_it_is_asked_for(place: Place) -> None:
    broken = OSError(errno.EIO, "Input/output error", "/disk")
    with mock.patch("orchestrator.app.planning.draft", side_effect=broken):
        assert "error[target]" in place.orch("validate", "study.yaml", code=5).err
    with mock.patch("orchestrator.app.planning.draft", side_effect=KeyError("http://me:hunter2@host/")):
        done = place.orch("validate", "study.yaml", "--json", code=70)
        check_shape(done)
        assert "error[internal]: KeyError" in done.err
        assert "--debug" in done.err
        assert "hunter2" not in done.err + done.out
        assert json.loads(done.out)["code"] == "internal"
        with pytest.raises(KeyError):
            place.orch("validate", "study.yaml", "--debug")


def test_each_of_the_list_has_a_test() -> None:
    names = [name.partition("_")[2].partition("_")[0] for name in globals() if name.startswith("test_B")]
    assert names == [f"B{number:02}" for number in range(1, 36)]
