"""Writes docs/errors.md: every code of an error, what leads to it, and what is printed then."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from orchestrator.cli.main import run
from scripts.error_examples import GROUPS, RARE, STUDY, Example

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "errors.md"
HEAD = """# Errors

<!-- Written by `python -m scripts.errors`. -->

Every error is one line on standard error: `[file:line:col: ]error[code]: what; got; allowed; next step`. All
errors of a study file are told at once, up to 200. With `--json` standard output holds them as one document
([json.md](json.md)). A file that is refused has written and started nothing. There is no traceback unless
`--debug` asks for it.

Exit codes: 2 for everything below with a file and a line; the others are said.

Where no file is shown the mistake is made in this one:

```yaml
%s```
"""
# functions that take a code among their arguments
_TAKERS = frozenset(
    (
        "add",
        "add_at",
        "refuse",
        "fault",
        "_fault",
        "_refused",
        "_checked",
        "Problem",
        "Issue",
        "error",
        "PydanticCustomError",
    )
)


def codes() -> set[str]:
    """Returns every code that the source can give an error."""
    found: set[str] = set()
    for path in sorted((ROOT / "orchestrator").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = dict(_constants(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and path.name == "errors.py":
                found |= {value for name, value in _constants(node) if name == "code"}
            elif isinstance(node, ast.Call):
                found |= set(_of_call(node, named))
    return found - {""}


def _constants(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield target.id, value.value


def _of_call(call: ast.Call, named: dict[str, str]) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "unknown" and isinstance(call.func, ast.Attribute) and len(call.args) > 1:
        yield f"unknown-{_text(call.args[1], named)}"
    if name not in _TAKERS:
        return
    given = [each.value for each in call.keywords if each.arg == "code"]
    # the first argument may be a path or a key, the last is the message
    position = 0 if name in ("fault", "_fault", "PydanticCustomError") else 1
    if name == "PydanticCustomError" or len(call.args) > position:
        given += call.args[position : position + 1]
    for each in given:
        text = _text(each, named)
        if text and text.replace("-", "").isalnum() and text.islower():
            yield text


def _text(node: ast.expr, named: dict[str, str]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return named.get(node.id, "") if isinstance(node, ast.Name) else ""


def told(example: Example) -> tuple[int, str]:
    """Returns the exit code and the standard error of an example's last command."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("study.yaml").write_bytes(example.text().encode("utf-8", "surrogateescape"))
        for name, text in example.files.items():
            Path(name).write_text(text, encoding="utf-8")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ORCH_")},
            "HOME": folder,
            "ORCH_EXECUTOR": "inline",
            "ORCH_MLFLOW_URI": "off",
            "ORCH_WORKLOAD_MODULES": "tests",
        }
        code, err = 0, io.StringIO()
        with mock.patch.dict(os.environ, environment, clear=True):
            for command in example.commands:
                err = io.StringIO()
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
                    code = run(shlex.split(command))
        return code, err.getvalue().replace(folder, "...")


def page() -> str:
    """Returns the page."""
    lines = [HEAD % STUDY]
    for title, examples in GROUPS.items():
        lines.append(f"## {title}\n")
        for example in examples:
            lines += _section(example)
    lines.append("## Others\n")
    lines += [f"- `{code}`, exit {text}" for code, text in RARE.items()]
    return "\n".join(lines) + "\n"


def _section(example: Example) -> Iterator[str]:
    code, err = told(example)
    message = next((line for line in err.splitlines() if f"error[{example.code}]" in line), None)
    if message is None:
        raise ValueError(f"the example of {example.code} is told as:\n{err}")
    shown = example.shown or "\n".join(
        line for line in example.text().splitlines() if line not in STUDY.splitlines()
    )
    yield f"### {example.code}\n"
    if example.told:
        yield f"{example.told}\n"
    if shown and example.commands[-1] == "validate study.yaml":
        yield f"```yaml\n{shown[:600]}\n```\n"
    else:
        yield f"    orch {example.commands[-1]}\n"
    exits = "" if code == 2 else f" (exit {code})"
    yield f"```text\n{message if len(message) < 600 else f'{message[:600]} ...'}{exits}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
