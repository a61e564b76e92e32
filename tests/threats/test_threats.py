"""Threats T1 to T15: the real thing is attacked; what has a test of its own elsewhere is named.

T1 and T2 are in test_local_ray.py (a real cluster) and test_exposure.py, T11 in test_secrets.py.
"""

from __future__ import annotations

import ast
import csv
import html
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashboards import mlflow_server
from deploy.native import services
from orchestrator.app import unbundle
from orchestrator.errors import CorruptError
from orchestrator.model.plan import TrialKey
from orchestrator.store.checkpoints import DirectoryCheckpoints
from tests.fuzz.watch import watched
from tests.inputs.refusals import SOUND, TOY, Place
from tests.street.orch import ROOT, Orch
from tests.threats import evil
from tests.threats.evil import Evil

CODE = ("orchestrator", "workloads", "dashboards", "deploy", "scripts", "benchmarks", "docs")


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    return Orch(directory=tmp_path)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists if somebody's code was run."""
    monkeypatch.setattr(evil, "MARKER", tmp_path / "marker")
    return tmp_path / "marker"


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_T03_the_page_answers_nobody_without_its_token() -> None:
    from tests.unit.dashboards import test_guard

    # every route, every method: there, and test_page_walk.py with hostile parameters
    assert callable(test_guard.test_every_route_wants_the_token)


def test_T04_other_sites_cannot_use_the_page() -> None:
    from tests.unit.dashboards import test_guard

    assert callable(test_guard.test_a_foreign_name_or_site_is_refused_before_all_else)


def test_T05_a_checkpoint_runs_no_code(tmp_path: Path, marker: Path) -> None:
    import torch

    from workloads.checkpoint import read_network

    store = DirectoryCheckpoints(tmp_path / "store")

    def write(folder: Path) -> None:
        torch.save({"weight": torch.zeros(2)}, folder / "network.pt")

    saved = store.save(TrialKey("a" * 32), serial=1, step=1, write=write)
    torch.save({"weight": Evil()}, store.root / saved.path / "network.pt")
    with pytest.raises(CorruptError, match="bytes instead of"):
        store.open(saved)
    assert not marker.exists()
    # Even where somebody made the digests fit, what reads knows tensors and nothing else.
    folder = tmp_path / "evil"
    folder.mkdir()
    torch.save({"weight": Evil()}, folder / "network.pt")
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        read_network(folder)
    assert not marker.exists()
    torch.load(folder / "network.pt", weights_only=False)  # the file is as evil as it is meant to be
    assert marker.exists()


def test_T05_no_code_reads_pickles() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules = {name.partition(".")[0] for name in names}
            assert not modules & {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}, path
        for name, call in calls(tree):
            keywords = {each.arg: each.value for each in call.keywords}
            if name == "torch.load":
                given = keywords.get("weights_only")
                assert isinstance(given, ast.Constant), path
                assert given.value is True, path
            assert name.rpartition(".")[2] not in ("add_safe_globals", "unsafe_load", "full_load"), path
            assert name not in ("yaml.load", "numpy.load", "np.load", "pandas.read_pickle"), path
            assert "allow_pickle" not in keywords, path


def test_T06_a_foreign_tune_directory_is_never_restored(orch: Orch, marker: Path) -> None:
    import pickle

    for name in ("tuner.pkl", "searcher-state.pkl", "trainable.pkl"):
        for folder in ("store", "store/results", "store/checkpoints", "bundle"):
            (orch.directory / folder).mkdir(parents=True, exist_ok=True)
            (orch.directory / folder / name).write_bytes(pickle.dumps(Evil()))
    orch("submit", orch.study(TOY))
    for command in ("status", "fsck", "gc", "table toy", "resume toy", "report toy"):
        orch(*command.split())
    orch("import", orch.directory / "bundle", code=2)
    assert not marker.exists()
    for path, tree in trees():
        for name, call in calls(tree):
            restores = name.endswith("Tuner.restore") or (
                name.endswith(".restore") and "Tuner" in ast.unparse(call)
            )
            assert not restores, path


def test_T07_study_files_are_data() -> None:
    from tests.inputs import test_bad_inputs

    for number in ("B07_what", "B08_alias", "B09_recursive", "B10_deep", "B11_tags"):
        assert any(name.startswith(f"test_{number}") for name in vars(test_bad_inputs))


def test_T08_a_study_imports_nothing_that_is_not_listed(orch: Orch, marker: Path) -> None:
    (orch.directory / "mine.py").write_text(f"open({str(marker)!r}, 'w')\n")
    place = Place(orch=orch)
    for name in ("os:system", "mine:SPEC", "tests.toy_workload_evil:SPEC", "tests:SPEC", "..mine:SPEC"):
        place.refused(SOUND.replace("classification", f"'{name}'"), "not allowed", "workload_modules")
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "%2e%2e%2fetc",
        "a#b",
        "a?b",
        "a;b",
        "..\\x",
        "x/../../y",
        "~root",
        ".",
    ],
)
def test_T09_names_lead_nowhere(orch: Orch, name: str) -> None:
    orch("submit", orch.study(TOY))
    before = sorted(path.as_posix() for path in orch.directory.rglob("*"))
    for command in (("show", name), ("table", name), ("logs", name), ("trace", name), ("cancel", name)):
        done = orch(*command, code=None)
        assert done.code in (2, 3), (command, done)
        assert "root:" not in done.out + done.err
    assert sorted(path.as_posix() for path in orch.directory.rglob("*")) == before


def test_T09_a_bundle_stays_where_it_is_put(orch: Orch, monkeypatch: pytest.MonkeyPatch) -> None:
    orch("submit", orch.study(TOY))
    orch("export", "toy", "--to", orch.directory / "bundle.zip")
    there = ("--store", orch.directory / "there")

    def altered(change: Callable[[zipfile.ZipFile], None]) -> Path:
        path = orch.directory / "bad.zip"
        path.write_bytes((orch.directory / "bundle.zip").read_bytes())
        with zipfile.ZipFile(path, "a") as archive:
            change(archive)
        return path

    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    for change in (
        lambda archive: archive.writestr("../out", "x"),
        lambda archive: archive.writestr("/out", "x"),
        lambda archive: archive.writestr("a/../../out", "x"),
        lambda archive: archive.writestr("C:out", "x"),
        lambda archive: archive.writestr(link, "/etc/passwd"),
        lambda archive: archive.writestr("more", "x"),
    ):
        said = orch("import", altered(change), *there, code=6).err
        assert "nothing was taken" in " ".join(said.split())
    monkeypatch.setattr(unbundle, "LIMIT_BYTES", 5_000_000)
    huge = altered(lambda archive: archive.writestr("huge", bytes(10**7), zipfile.ZIP_DEFLATED))
    assert huge.stat().st_size < 2 * 10**6
    assert "GiB" in orch("import", huge, *there, code=2).err
    # other tests' folders beside this one may be called anything
    assert not list(orch.directory.rglob("out"))
    assert not (orch.directory.parent / "out").exists()
    assert not Path("/out").exists()


@pytest.mark.parametrize("file", ["study.json", "plan.json"])
@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"study": {"a": 1}}', '{"trials": [{}]}'])
def test_T09_a_bundle_that_makes_no_sense_is_told(orch: Orch, file: str, content: str) -> None:
    import hashlib

    orch("submit", orch.study(TOY))
    bundle = orch.directory / "bundle"
    orch("export", "toy", "--to", bundle)
    (bundle / file).write_text(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][file] = hashlib.sha256(content.encode()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    done = orch("import", bundle, "--store", orch.directory / "there", code=6)
    assert f"{file} cannot be understood" in done.err
    assert (
        "study"
        not in orch("list", "--store", orch.directory / "there", "--json", code=None).out.partition(
            '"studies"'
        )[2]
    )


PAYLOADS = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "rich": "[bold red]x[/] [link file:///etc/passwd]y[/link]",
    "latex": "\\input{/etc/passwd} $x$ %% & # _ ^ ~",
    "csv": "+cmd|' /C calc'!A0",
    "markdown": "](javascript:alert(1)) | `x` **y** <b>",
}


def test_T10_what_others_wrote_is_shown_and_does_nothing(orch: Orch) -> None:
    terminal = "\x1b]0;owned\x07\x1b[31m\u202egnp.exe\u2066 \x9b31m"
    labels = {
        name: text.replace(",", ";").replace("=", "-").replace("*", "+")[:64]
        for name, text in PAYLOADS.items()
    }
    levels = json.dumps({label: number for number, label in enumerate(labels.values())}, ensure_ascii=False)
    text = TOY.replace("levels: [1, 2]", f"levels: {levels}")
    text = text.replace(
        "metric: test_error}", f"metric: test_error, caption: {json.dumps(terminal + PAYLOADS['html'])}}}"
    )
    text += f"title: {json.dumps(terminal + PAYLOADS['html'])}\nnotes: {json.dumps(terminal)}\n"
    file = orch.study(text)
    shown = [orch("submit", file, "--note", terminal + PAYLOADS["rich"]).out]
    shown += [
        orch(*each).out
        for each in (("list",), ("status",), ("show", "toy"), ("table", "toy"), ("plan", file))
    ]
    for each in shown:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", each), each
    for label in (labels["rich"], labels["html"]):
        assert label in "".join(shown)  # as text, not as markup
    page = Path(orch("report", "toy", "--json").json["path"])
    for rendered in ((orch.directory / page).read_text(), orch("table", "toy", "-f", "html").out):
        assert "<script>alert" not in rendered
        assert "<img src=x" not in rendered
        assert html.escape(labels["html"]) in rendered
    latex = orch("table", "toy", "-f", "latex").out
    assert "\\input" not in latex
    assert "$x$" not in latex
    for row in csv.reader(io.StringIO(orch("table", "toy", "-f", "csv").out)):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@")), cell
    markdown = orch("table", "toy", "-f", "md").out
    assert not re.search(r"(?<!\\)\]\(", markdown)
    assert "<script" not in markdown
    # plots, claims, MLflow's texts: unit/tables, unit/tracking; the page: unit/dashboards/test_pages.py


def test_T11_secrets_stay_secret() -> None:
    from tests.threats import test_secrets

    assert callable(test_secrets.test_a_secret_reaches_the_workload_and_nothing_else)


def test_T12_no_sql_and_no_shell_reads_a_name(orch: Orch) -> None:
    label = "'; DROP TABLE trials; -- $(touch x) `touch x`"
    orch("submit", orch.study(TOY.replace("levels: [1, 2]", f'levels: {{"{label}": 1}}')), "--note", label)
    assert orch("status", "--json").json["studies"][0]["status"] == "done"
    assert label in orch("table", "toy", "--json").out.replace('\\"', '"')
    assert not (orch.directory / "x").exists()
    for path, tree in trees():
        for name, call in calls(tree):
            for keyword in call.keywords:
                shell = keyword.arg == "shell" and not (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                )
                assert not shell, path
            assert name not in ("os.system", "os.popen", "eval", "exec", "subprocess.getoutput"), path
            if name in ("text", "sa.text", "sqlalchemy.text"):
                made_of = [each for each in ast.walk(call.args[0]) if isinstance(each, ast.FormattedValue)]
                # our own constants may be in it, nothing that anybody gives
                assert all(ast.unparse(each.value).isupper() for each in made_of), (
                    f"{path}: SQL made of values"
                )


def test_T13_a_study_makes_orch_ask_nobody(orch: Orch) -> None:
    place = Place(orch=orch)
    (orch.directory / "study.yaml").write_text(SOUND)
    orch("validate", "study.yaml")
    for address in (
        "http://169.254.169.254/x.yaml",
        "ftp://h/x.yaml",
        "//h/x.yaml",
        "file:///etc/passwd.yaml",
    ):
        place.refused(SOUND + f"extends: {address}\n", "x.yaml" if "passwd" not in address else "passwd")
    for address in ("http://169.254.169.254/latest", "/dev/zero", "/etc/shadow-"):
        table = f"tables: {{t: {{rows: depth, metric: test_error, published: {address}}}}}\n"
        place.refused(SOUND + table, "error[")
    done = orch("list", "--store", "http://169.254.169.254/x", code=None)
    assert done.code in (2, 3, 5)
    (orch.directory / "study.yaml").write_text(SOUND)
    with watched() as seen:
        orch("validate", "study.yaml")
    assert not [each for each in seen if "socket" in each]


def test_T14_what_is_installed_is_pinned_and_bodies_are_small() -> None:
    from dashboards.guard import MOST_BYTES
    from orchestrator.execution.logs import LIMIT_BYTES
    from tests.architecture import test_supply

    assert callable(test_supply.test_everything_is_pinned_and_hashed)
    assert MOST_BYTES <= 2**20  # more is 413: unit/dashboards/test_guard.py
    assert LIMIT_BYTES <= 2**24  # of a trial's log, in which one older file is kept


def test_T15_mlflow_is_never_served_without_a_password() -> None:
    # The page's own server is asked without one in unit/dashboards/test_control.py.
    for settings in (mlflow_server._CONFIG, services._AUTH):
        assert "default_permission = NO_PERMISSIONS" in settings
        assert "authenticate_request_basic_auth" in settings
        assert "password" not in settings  # none that everybody knows
    for path, tree in trees():
        source = path.read_text(encoding="utf-8")
        if path.name != "test_threats.py" and '"mlflow", "server"' in source:
            assert "basic-auth" in source, path
            assert "0.0.0.0" not in source, path
        assert tree
    for file in (ROOT / "deploy").rglob("*"):
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        if file.suffix in (".yaml", ".yml", ".sh", ".service", ".sbatch") and re.search(
            r"\bmlflow server\b", text
        ):
            assert "basic-auth" in text, file
    # nor does a submission serve anything: with the mirror on, no socket is bound


def test_each_of_the_list_has_a_test() -> None:
    from tests.threats import test_local_ray

    names = [name for name in {**globals(), **vars(test_local_ray)} if re.match(r"test_T\d\d_", name)]
    assert {name[5:8] for name in names} == {f"T{number:02}" for number in range(1, 16)}
