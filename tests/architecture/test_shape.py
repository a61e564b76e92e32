"""The shape of the code base: contracts between rooms, light imports, small files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.street.orch import Orch

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dashboards", "orchestrator", "workloads", "benchmarks", "scripts", "deploy")
LONGEST = 400
HEAVY = {
    "torch",
    "numpy",
    "scipy",
    "alembic",
    "yaml",
    "boto3",
    "ray",
    "mlflow",
    "pandas",
    "polars",
    "pyarrow",
    "sqlalchemy",
    "sklearn",
    "optuna",
    "matplotlib",
}
STUDY = """
api_version: 1
study: light
workload: tests.toy_workload:SPEC
design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}
seeds: 1
"""


def python_files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Orch:
    orch = Orch(directory=tmp_path_factory.mktemp("light"))
    orch("submit", orch.study(STUDY))
    return orch


@pytest.mark.parametrize("verb", ["status", "status light", "list", "cancel light"])
def test_light_commands_load_nothing_heavy(verb: str, recorded: Orch) -> None:
    code = (
        "import sys\nfrom orchestrator.cli.main import run\n"
        f"code = run({verb.split()!r})\nassert code == 0, code\nprint('loaded', *sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=recorded.directory, env=recorded.env, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.rpartition("loaded ")[2].split())
    assert "sqlalchemy" in loaded
    assert not {name.partition(".")[0] for name in loaded} & (HEAVY - {"sqlalchemy"})
    # The other dialect of the registry, an object mapper, and the language of what is recorded already.
    idle = ("sqlalchemy.dialects.postgresql", "sqlalchemy.orm", "orchestrator.study.")
    assert not {name for name in loaded if name.startswith(idle)}


@pytest.mark.parametrize("module", ["orchestrator", "orchestrator.cli.main", "workloads", "workloads.api"])
def test_imports_are_light(module: str) -> None:
    assert not loaded_by(f"import {module}") & HEAVY


def test_the_catalogue_of_workloads_loads_no_torch() -> None:
    statement = (
        "import workloads, workloads.api\n[workloads.api.load_object(p) for p in workloads.CATALOG.values()]"
    )
    assert not loaded_by(statement) & {"torch", "torchvision", "ray", "mlflow"}


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{path.relative_to(ROOT)} has {lines} lines: it knows more than one thing"


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_loads_pickles(path: Path) -> None:
    """Checkpoints and results may come from somebody else: no pickle, no `weights_only=False`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.partition(".")[0] not in {"pickle", "cloudpickle", "joblib", "dill", "shelve"}
        if isinstance(node, ast.keyword) and node.arg == "weights_only":
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is True
