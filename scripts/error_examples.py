"""One way into every error: what is changed in a sound study, or which command is asked.

The order is that of docs/errors.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

STUDY = """api_version: 1
study: demo
workload: classification
config: {data: {name: digits}, network: {name: resnet}, epochs: 2}
design:
  type: factorial
  factors:
    depth: {path: network.depth, levels: [14, 26]}
seeds: 3
tables:
  errors: {rows: depth, metric: test_error}
"""
TOY = """api_version: 1
study: toy
workload: tests.toy_workload:SPEC
design: {type: factorial, factors: {x: {path: x, levels: [1, 2]}}}
seeds: 2
tables:
  curve: {from: train, rows: x, metric: error}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A mistake.

    Attributes:
        code: What stands in brackets.
        told: What it means and what to do, where the message does not say it all.
        old: Text of the sound study, "" to add to its end.
        new: What stands in its place.
        study: The sound study.
        shown: What the page shows in place of `new`, where that is long.
        files: Further files by name.
        commands: What is asked, one after the other; the last one fails.
    """

    code: str
    told: str = ""
    old: str = ""
    new: str = ""
    study: str = STUDY
    shown: str = ""
    files: dict[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ("validate study.yaml",)

    def text(self) -> str:
        """Returns the study with the mistake in it."""
        if self.old and self.old not in self.study:
            raise ValueError(f"the example of {self.code}: its study has no {self.old!r}")
        return self.study.replace(self.old, self.new, 1) if self.old else self.study + self.new


_FACTOR = "    depth: {path: network.depth, levels: [14, 26]}\n"
_TABLE = "{rows: depth, metric: test_error}"


def _table(more: str) -> str:
    return f"{{rows: depth, metric: test_error, {more}}}"


def _factors(more: str) -> str:
    return f"{_FACTOR}    {more}\n"


TEXT = (
    Example(code="yaml-syntax", old="seeds: 3", new="seeds: [0, 1"),
    Example(code="not-a-mapping", old=STUDY, new="- study\n- config\n"),
    Example(code="several-documents", new="---\nstudy: other\n"),
    Example(code="duplicate-key", old="seeds: 3", new="seeds: 3\nseeds: 5"),
    Example(code="key-not-text", new="? [a, b]\n: 1\n"),
    Example(code="merge-key", old="config: {", new="config: {<<: {epochs: 1}, "),
    Example(code="recursive-alias", old="config: {", new="config: &all {network: *all, "),
    Example(code="unknown-alias", old="epochs: 2", new="epochs: *few"),
    Example(code="tag", old="seeds: 3", new="seeds: !!python/object/apply:os.system [ls]"),
    Example(code="too-deep", new="notes: " + "[" * 100, shown="notes: [[[[[[[[ ... (100 times)"),
    Example(
        code="too-many-nodes",
        told="Aliases count as often as they are used.",
        new="notes:\n" + "".join(f"  - [{'x, ' * 999}x]\n" for _ in range(11)),
        shown="notes: (11,000 values)",
    ),
    Example(code="not-utf-8", new="title: \udce9\n", shown="title: (a byte that UTF-8 does not have)"),
    Example(code="too-large", new="# " + "x" * (1 << 20), shown="(a file of more than 1 MiB)"),
    Example(code="not-found", commands=("validate studi.yaml",)),
    Example(code="unreadable", commands=("validate .",)),
    Example(code="bad-extends", new="extends: base.json\n"),
    Example(code="extends-circle", new="extends: study.yaml\n"),
    Example(
        code="extends-depth",
        new="extends: a1.yaml\n",
        files={f"a{n}.yaml": f"study: a{n}\nextends: a{n + 1}.yaml\n" for n in range(1, 6)},
    ),
)
WORDS = (
    Example(code="api-version", old="api_version: 1", new="api_version: 2"),
    Example(code="unknown-key", old="seeds: 3", new="sedes: 3"),
    Example(code="missing-key", old="study: demo\n", new=""),
    Example(code="wrong-type", old="levels: [14, 26]", new="levels: 14"),
    Example(code="bad-value", old="epochs: 2", new="epochs: two"),
    Example(code="out-of-range", old="seeds: 3", new="seeds: 0"),
    Example(code="no-values", old="levels: [14, 26]", new="levels: []"),
    Example(code="too-many", old="levels: [14, 26]", new="levels: {range: [0, 1000000000]}"),
    Example(code="bad-name", old="study: demo", new="study: ../demo"),
    Example(code="bad-label", old="levels: [14, 26]", new='levels: {"14, thin": 14, deep: 26}'),
    Example(code="needs-label", old=_FACTOR, new=_factors("data: {path: data, levels: [{name: digits}]}")),
    Example(code="duplicate-name", old=_FACTOR, new=_factors("Depth: {path: network.depth, levels: [14]}")),
    Example(code="duplicate-value", old="levels: [14, 26]", new="levels: {a: 14, b: 14}"),
    Example(code="reserved-name", old=_FACTOR, new=_factors("seed: {path: epochs, levels: [1, 2]}")),
    Example(
        code="conflict",
        told="Two things that cannot both hold.",
        old=_TABLE,
        new=_table("metrics: [test_loss]"),
    ),
    Example(code="reference", old="epochs: 2", new="epochs: 2, probe_every: '${EVERY}'"),
    Example(
        code="secret",
        told="Whoever reads the file has it; docs/security.md says where secrets are kept.",
        old="epochs: 2",
        new="epochs: 2, api_key: abc123",
    ),
    Example(
        code="secret-place",
        told="Only what a workload is handed is filled in.",
        new="title: 'with ${secret:TOKEN}'\n",
    ),
)
DESIGN = (
    Example(
        code="unknown-factor", old=_FACTOR, new=_factors("a: {path: epochs, levels: [1], when: {dept: 14}}")
    ),
    Example(
        code="unknown-label", old=_FACTOR, new=_factors("a: {path: epochs, levels: [1], when: {depth: 15}}")
    ),
    Example(code="when-circle", old=_FACTOR, new=_factors("a: {path: epochs, levels: [1], when: {a: 1}}")),
    Example(
        code="zip-lengths",
        old=_FACTOR,
        new=_factors("width: {path: network.width, levels: [1]}\n  zip: [[depth, width]]"),
    ),
    Example(
        code="fits-nothing",
        old=_FACTOR,
        new=_factors("a: {path: epochs, levels: [1], when: {depth: 14}}\n  exclude: [{depth: 26, a: 1}]"),
    ),
    Example(code="no-cells", old=_FACTOR, new=_FACTOR + "  exclude: [{depth: [14, 26]}]\n"),
    Example(code="too-many-trials", old="levels: [14, 26]", new="levels: {range: [1, 60000]}"),
    Example(
        code="too-few-seeds",
        told="Refused before anything runs: no result could show it.",
        old=f"seeds: 3\ntables:\n  errors: {_TABLE}",
        new=f"seeds: 1\ntables:\n  errors: {_table('baseline: {depth: 14}')}",
    ),
)
CONFIGS = (
    Example(code="unknown-workload", old="workload: classification", new="workload: clasification"),
    Example(code="workload-not-allowed", old="workload: classification", new="workload: os:system"),
    Example(
        code="workload-import",
        told="The module of the workload raised while it was imported.",
        old="workload: classification",
        new="workload: tests.no_such_module:SPEC",
    ),
    Example(code="unknown-path", old="epochs: 2", new="epocs: 2"),
    Example(code="unknown-kind", old="name: resnet", new="name: resnt"),
    Example(code="foreign-field", old="name: resnet", new="name: resnet, path: LLL"),
    Example(code="unknown-recipe", old="epochs: 2", new="epochs: 2, recipe: zhao2015"),
)
EVALUATIONS = (
    Example(code="unknown-family", new="evaluate: {delete_won: {}}\n"),
    Example(code="not-gathering", new="evaluate: {delete_one: {gather: depth, as: {depth: all}}}\n"),
    Example(code="unsuited", new="evaluate: {members: {set: {member: LLL}}}\n"),
    Example(
        code="ambiguous",
        told="In a list of cells two may have equal labels.",
        old="  type: factorial\n",
        new="  type: list\n  cells: {a: {depth: 14}, b: {depth: 14}, c: {depth: 26}}\n",
        study=STUDY + "evaluate: {vote: {gather: depth, as: {depth: all}}}\n",
    ),
)
TABLES = (
    Example(code="unknown-evaluation", old=_TABLE, new=_table("from: tets")),
    Example(code="unknown-metric", old="metric: test_error", new="metric: tset_error"),
    Example(code="unknown-dimension", old="rows: depth", new="rows: dept"),
    Example(code="unknown-attribute", old=_TABLE, new=_table("attributes: {parametres: {}}")),
    Example(
        code="unknown-column",
        old=_TABLE,
        new=_table("published: {file: p.csv, where: {set: A}}"),
        files={"p.csv": "metric,value\ntest_error,0.05\n"},
    ),
    Example(code="ambiguous-entry", old="rows: depth, ", new=""),
    Example(
        code="bad-baseline",
        old="{rows: depth, metric",
        new="{rows: metric, average_over: depth, baseline: {depth: 14}, metric",
    ),
    Example(code="unknown-table", new="plots: {forest: {kind: forest, table: eror}}\n"),
    Example(code="unknown-claim", old="seeds: 3", new="seeds: {min: 3, max: 9, until: {claim: deeper}}"),
    Example(
        code="unknown-step",
        told="Seen when the table is built: what curves there are is known from results only.",
        study=TOY,
        old="metric: error}",
        new="metric: error, at: step 9}",
        commands=("submit study.yaml", "table toy"),
    ),
    Example(
        code="ambiguous-attribute",
        told="Seen when the table is built.",
        study=TOY.replace(
            "{x: {path: x, levels: [1, 2]}}", "{x: {path: x, levels: [1]}, s: {path: steps, levels: [1, 2]}}"
        ),
        old="curve: {from: train, rows: x, metric: error}",
        new="size: {rows: x, metric: test_error, average_over: s, attributes: {parameters: {}}}",
        commands=("submit study.yaml", "table toy"),
    ),
)
COMMANDS = (
    Example(code="usage", told="Also of settings and their files.", commands=("plan study.yaml --limt 3",)),
    Example(code="no-such", commands=("submit study.yaml", "table toi"), study=TOY),
    Example(code="target", commands=("submit study.yaml --store /proc/none",)),
)
GROUPS = {
    "The text": TEXT,
    "Words and values": WORDS,
    "The design": DESIGN,
    "Workloads and configs": CONFIGS,
    "Evaluations": EVALUATIONS,
    "Tables, plots and claims": TABLES,
    "Commands": COMMANDS,
}
# What takes a fault of the world to happen; the tests of each are named in docs/reliability.md.
RARE = {
    "data": "1: a data set is missing or damaged; the message names the folder and what it should hold.",
    "failed": "1: a command failed in a way that has no word of its own.",
    "incomplete": "6: `table --strict` or `claims` while results are missing.",
    "corrupt": "6: a part, a checkpoint or a bundle is not what its digest says; `orch fsck` names all.",
    "held": "7: another driver has the study; the message names host, process and age.",
    "lease-lost": "7: this driver was silent for too long, and another took over.",
    "secret-missing": "2: a secret is not set where the trials run, or its file is open to others.",
    "study": "2: never printed: an invalid study has a line and a code for each problem.",
    "unknown-statistic": "2: never of a file, whose words are checked before; of tables made in Python.",
    "internal": "70: a fault of orch itself; --debug shows the traceback, which a report of it needs.",
}
