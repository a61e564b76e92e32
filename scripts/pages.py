"""Writes what the documentation repeats: code blocks that name their file, and the keys of study files.

`python scripts/pages.py` renews the pages; with `--check` it only says whether they are fresh.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SCHEMA = ROOT / "orchestrator" / "study" / "study.schema.json"
_BLOCK = re.compile(r"^```(?P<kind>\w+) file=(?P<file>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def filled(page: str) -> str:
    """Returns a page whose blocks hold what their files hold."""

    def block(found: re.Match[str]) -> str:
        text = (DOCS / found["file"]).read_text(encoding="utf-8")
        return f"```{found['kind']} file={found['file']}\n{text}```"

    return _BLOCK.sub(block, page)


def keys_page() -> str:
    """Returns the page of all keys of a study file, from its schema."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    lines = [
        "# Every key of a study file",
        "",
        "Made from the schema that editors use (`orch schema`); what each is for is said in",
        "[study-language.md](study-language.md).",
    ]
    for heading, path, properties, required in _groups(schema):
        lines += ["", f"## {heading}", ""]
        if path:
            lines += [path, ""]
        lines += ["| key | kind | default |", "|--|--|--|"]
        for name, each in properties.items():
            must = "**needed**" if name in required else _default(each)
            lines.append(f"| `{name}` | {_kind(each, schema)} | {must} |")
    return "\n".join(lines) + "\n"


_ROOMS = {
    "DesignFile": ("design", ""),
    "FactorFile": ("A factor", "`design.factors.NAME`, and at test time `evaluate.NAME.vary.NAME`"),
    "OverrideFile": ("An override", "each of `design.overrides`"),
    "SeedRuleFile": ("A rule for seeds", "`seeds`"),
    "UntilFile": ("until", "of `seeds`"),
    "EvaluationFile": ("An evaluation", "`evaluate.NAME`"),
    "TableFile": ("A table", "`tables.NAME`"),
    "PlotFile": ("A plot", "`plots.NAME`"),
    "ClaimFile": ("A claim", "`claims.NAME`"),
    "SearchFile": ("search", ""),
    "BudgetFile": ("budget", ""),
    "ResourcesFile": ("resources", "and of an evaluation"),
    "ResourceRuleFile": ("A rule for resources", "each of a list of `resources`"),
}


def _groups(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], list[str]]]:
    top = schema["anyOf"][1]["required"]
    yield "The file", "Beside `extends`, only `study` is needed.", _shown(schema["properties"]), top
    for name, (heading, path) in _ROOMS.items():
        model = schema["$defs"][name]
        yield heading, path, model["properties"], model.get("required", [])


def _shown(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: each for name, each in properties.items() if name != "$schema"}


def _kind(each: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    said = f": {each['description']}" if "description" in each else ""
    return (_told(each, schema) + said).replace("|", "\\|")


def _told(each: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in each:
        name = each["$ref"].rpartition("/")[2]
        return _ROOMS[name][0] if name in _ROOMS else "mapping"
    if "enum" in each:
        return ", ".join(f"`{value}`" for value in each["enum"])
    if "const" in each:
        return f"`{each['const']}`"
    if "anyOf" in each:
        kinds = [_told(one, schema) for one in each["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    kind = each.get("type")
    if isinstance(kind, list):
        return "value"
    if kind == "array":
        return f"list: each {_told(each['items'], schema)}" if each.get("items") else "list"
    if kind == "object":
        below = each.get("additionalProperties") or next(
            iter(each.get("patternProperties", {}).values()), None
        )
        return f"name -> {_told(below, schema)}" if isinstance(below, dict) and below else "mapping"
    limits = [
        f"{word} {each[name]:g}"
        for name, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if name in each
    ]
    words = {"string": "text", "boolean": "true or false", "integer": "whole number", "number": "number"}
    return " ".join([words.get(str(kind), "value"), *limits])


def _default(each: Mapping[str, Any]) -> str:
    if each.get("default") in (None, "", [], {}):
        return ""
    return f"`{json.dumps(each['default'], ensure_ascii=False)}`"


def pages() -> dict[Path, str]:
    """Returns every page that is made, as it should be."""
    found = {DOCS / "study-keys.md": keys_page()}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _BLOCK.search(text):
            found[path] = filled(text)
    return found


def main(check: bool) -> int:
    """Renews the pages, or says which are stale; the exit code is 1 where any is."""
    stale = []
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.write_text(text, encoding="utf-8")
    print("\n".join(f"{'stale' if check else 'renewed'}: {name}" for name in stale) or "all pages are fresh")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
