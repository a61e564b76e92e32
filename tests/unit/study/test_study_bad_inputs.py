"""Bad study files: each message says what, what was got, what is allowed, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_text import DEPTH, FACTORS, problems

TABLE = "tables: {t: {rows: depth, metric: test_error, %s}}\n"

# text after the head, line, column, code, parts of the message
CASES = {
    "B1 unknown config key": (
        DEPTH + "config: {epocs: 3}",
        8,
        10,
        "unknown-path",
        ["'epochs'", "batch_size"],
    ),
    "B1 unknown key": (
        DEPTH + "sedes: 3",
        8,
        1,
        "unknown-key",
        ["'sedes'", "did you mean 'seeds'", "tables"],
    ),
    "B1 unknown nested config key": (
        DEPTH + "config: {network: {widht: 2}}",
        8,
        20,
        "unknown-path",
        ["widht", "did you mean 'width'"],
    ),
    "B2 text for int": (
        DEPTH + 'config: {epochs: "ten"}',
        8,
        18,
        "bad-value",
        ["an integer", "string 'ten'"],
    ),
    "B2 number for int": (DEPTH + "config: {epochs: 1.5}", 8, 18, "bad-value", ["an integer", "number 1.5"]),
    "B2 scalar for list": (
        FACTORS + "    a: {path: epochs, levels: 3}",
        7,
        31,
        "wrong-type",
        ["a list of values", "integer 3"],
    ),
    "B4 leading zeros": (DEPTH + "config: {epochs: 012}", 8, 18, "bad-value", ["an integer", "'012'"]),
    "B4 time of day": (DEPTH + "config: {epochs: 12:30:00}", 8, 18, "bad-value", ["'12:30:00'"]),
    "B4 number for text": (DEPTH + "config: {note: 1.10}", 8, 16, "bad-value", ["text", "quote it"]),
    "B5 duplicate key": (
        DEPTH + "config:\n  epochs: 1\n  epochs: 2",
        10,
        3,
        "duplicate-key",
        ["(first at line 9)"],
    ),
    "B6 tab": (DEPTH + "config:\n\tepochs: 1", 9, 1, "yaml-syntax", ["\\t"]),
    "B6 bracket": (DEPTH + "seeds: [1, 2\n", 9, 1, "yaml-syntax", ["expected ',' or ']'"]),
    "B6 two documents": (DEPTH + "---\nstudy: b", 8, 1, "several-documents", ["one document only"]),
    "B9 recursive alias": (DEPTH + "config: &a {x: *a}", 8, 16, "recursive-alias", ["at line 8"]),
    "B10 deep": (DEPTH + "config: " + "[" * 3000, 8, 72, "too-deep", ["64 levels"]),
    "B12 no values": (
        FACTORS + "    a: {path: epochs, levels: []}",
        7,
        31,
        "no-values",
        ["'a' has no values"],
    ),
    "B12 no factors": ("design: {type: factorial, factors: {}}", 4, 27, "no-values", ["no factors"]),
    "B12 no seeds": (DEPTH + "seeds: []", 8, 8, "no-values", ["seeds has no values"]),
    "B14 one value twice": (
        FACTORS + "    a: {path: optimizer.lr, levels: [1, 1.0]}",
        7,
        41,
        "duplicate-value",
        ["'1'", "'1.0'", "same value"],
    ),
    "B14 one label's value twice": (
        FACTORS + "    a: {path: epochs, levels: {x: 1, y: 1}}",
        7,
        41,
        "duplicate-value",
        ["'x' and 'y'"],
    ),
    "B15 names by case": (
        DEPTH + "    Depth: {path: epochs, levels: [1]}",
        8,
        5,
        "duplicate-name",
        ["'Depth' is already used at line 7 as 'depth'"],
    ),
    "B15 labels by Unicode form": (
        FACTORS + "    a: {path: epochs, levels: {\u00e9: 1, e\u0301: 2}}",
        7,
        38,
        "duplicate-name",
        ["already used"],
    ),
    "B17 when circle": (
        FACTORS
        + "    a: {path: epochs, levels: [1], when: {b: 2}}\n"
        + "    b: {path: batch_size, levels: [2], when: {a: 1}}",
        7,
        42,
        "when-circle",
        ["a -> b -> a"],
    ),
    "B17 when on itself": (
        FACTORS + "    a: {path: epochs, levels: [1], when: {a: 1}}",
        7,
        42,
        "when-circle",
        ["a -> a"],
    ),
    "B17 gather of an unknown factor": (
        DEPTH + "evaluate: {vote: {gather: dept, as: {depth: All}}}",
        8,
        27,
        "unknown-factor",
        ["'dept'", "did you mean 'depth'"],
    ),
    "B17 two labels fit an entry": (
        DEPTH + "    epochs: {path: epochs, levels: [1, 2]}\n" + TABLE % "percent: true",
        9,
        10,
        "ambiguous-entry",
        ["'epochs'", "'1' and '2'", "average_over: [epochs]"],
    ),
    "B17 two evaluations fit an entry": (
        DEPTH + "evaluate: {delete_one: {}}\n" + TABLE % "from: [test, delete_one]",
        9,
        10,
        "ambiguous-entry",
        ["'test' and 'delete_one'"],
    ),
    "B18 reference": (DEPTH + "title: run of ${HOME}", 8, 8, "reference", ["${HOME}", "--set"]),
    "B20 range of a value": (DEPTH + "config: {optimizer: {lr: -1}}", 8, 26, "bad-value", ["lr must be > 0"]),
    "B20 unknown parameter": (
        DEPTH + "evaluate: {delete_one: {set: {modul: 1}}}",
        8,
        31,
        "unknown-path",
        ["did you mean 'module'"],
    ),
    "B20 required parameter": (
        FACTORS + "    n: {path: network.name, levels: [path_ensemble]}\nevaluate: {members: {}}",
        8,
        21,
        "missing-key",
        ["member must be given"],
    ),
    "B21 nan": (DEPTH + "config: {optimizer: {lr: .nan}}", 8, 26, "bad-value", ["must be finite"]),
    "B21 inf": (DEPTH + "config: {optimizer: {momentum: .inf}}", 8, 32, "bad-value", ["must be finite"]),
    "B21 bool for int": (DEPTH + "config: {epochs: true}", 8, 18, "bad-value", ["true is not an integer"]),
    "B21 negative epochs": (
        DEPTH + "config: {epochs: -1}",
        8,
        18,
        "bad-value",
        ["epochs must be >= 1, got -1"],
    ),
    "B21 batch of a level": (
        FACTORS + "    a: {path: batch_size, levels: [0, 8]}",
        7,
        36,
        "bad-value",
        ["batch_size must be >= 1", "cell a=0"],
    ),
    "B21 huge seed": (DEPTH + f"seeds: [{2**70}]", 8, 8, "wrong-type", ["2^63 - 1"]),
    "B21 bool seed": (DEPTH + "seeds: true", 8, 8, "wrong-type", ["true"]),
    "B21 many seeds": (DEPTH + "seeds: 1000000000", 8, 8, "out-of-range", ["100,000"]),
    "B22 unknown metric": (
        DEPTH + "tables: {t: {rows: depth, metric: tset_error}}",
        8,
        35,
        "unknown-metric",
        ["did you mean 'test_error'", "test_loss"],
    ),
    "B22 best: maxx": (
        DEPTH + TABLE % "best: maxx",
        8,
        53,
        "bad-value",
        ["'min' or 'max'", "did you mean 'max'"],
    ),
    "B22 unknown dimension": (
        DEPTH + "tables: {t: {rows: dept, metric: test_error}}",
        8,
        20,
        "unknown-dimension",
        ["did you mean 'depth'"],
    ),
    "B22 unknown label in where": (
        DEPTH + TABLE % "where: {depth: 27}",
        8,
        62,
        "unknown-label",
        ["'27'", "14, 26"],
    ),
    "B22 metric of fail_when": (DEPTH + TABLE % "fail_when: foo > 1", 8, 58, "unknown-metric", ["'foo'"]),
    "B22 unknown evaluation": (
        DEPTH + TABLE % "from: tets",
        8,
        53,
        "unknown-evaluation",
        ["did you mean 'test'"],
    ),
    "unknown family": (
        DEPTH + "evaluate: {delete_won: {}}",
        8,
        12,
        "unknown-family",
        ["did you mean 'delete_one'"],
    ),
    "family that does not gather": (
        DEPTH + "evaluate: {delete_one: {gather: depth, as: {depth: All}}}",
        8,
        33,
        "not-gathering",
        ["takes one network", "vote"],
    ),
    "family that must gather": (DEPTH + "evaluate: {vote: {}}", 8, 12, "missing-key", ["gather: FACTOR"]),
    "unsuited cell": (
        DEPTH + "evaluate: {members: {set: {member: LLL}}}",
        8,
        12,
        "unsuited",
        ["depth=14", "path_ensemble", "when"],
    ),
    "draws without chance": (
        DEPTH + "evaluate: {delete_one: {draws: 3}}",
        8,
        32,
        "bad-value",
        ["not random"],
    ),
    "foreign field of a kind": (
        FACTORS
        + "    n: {path: network.name, levels: [plain, resnet]}\nconfig: {network: {drop_path: local}}",
        8,
        20,
        "foreign-field",
        ["drop_path belongs to resnet", "'plain'", "cell n=plain"],
    ),
    "unknown kind": (
        FACTORS + "    n: {path: network.name, levels: [plane]}",
        7,
        38,
        "unknown-kind",
        ["did you mean 'plain'", "component"],
    ),
    "exclude that fits no cell": (
        DEPTH + "    s: {path: epochs, levels: [1], when: {depth: 14}}\n  exclude: [{depth: 26, s: 1}]",
        9,
        13,
        "fits-nothing",
        ["fits no cell"],
    ),
    "zip of unequal lengths": (
        DEPTH + "    e: {path: epochs, levels: [1]}\n  zip: [[depth, e]]",
        9,
        9,
        "zip-lengths",
        ["depth has 2", "e has 1"],
    ),
    "baseline that misses a factor": (
        "design:\n  type: one_at_a_time\n  baseline: {}\n  factors: {a: {path: epochs, levels: [1]}}",
        6,
        3,
        "missing-key",
        ["baseline"],
    ),
    "label with a comma": (
        FACTORS + '    a: {path: epochs, levels: {"x,y": 1}}',
        7,
        32,
        "bad-label",
        ["'x,y'", "printable"],
    ),
    "level without a label": (
        FACTORS + "    a: {path: network.dropout, levels: [[0, 0, 0]]}",
        7,
        41,
        "needs-label",
        ["levels: {LABEL: value}"],
    ),
    "reserved dimension": (
        FACTORS + "    seed: {path: epochs, levels: [1]}",
        7,
        5,
        "reserved-name",
        ["'seed'"],
    ),
    "reserved evaluation": (
        DEPTH + "evaluate: {test: {family: delete_one}}",
        8,
        12,
        "reserved-name",
        ["part of every training"],
    ),
    "vary with the otherwise of a factor": (
        DEPTH + "evaluate: {delete_one: {vary: {depth: {path: module, levels: [1], otherwise: x}}}}",
        8,
        78,
        "conflict",
        ["factor of the design"],
    ),
    "something below a scalar": (
        FACTORS + "    a: {path: epochs.more, levels: [1]}\nconfig: {epochs: 3}",
        7,
        37,
        "unknown-path",
        ["epochs.more cannot be set"],
    ),
    "show": (DEPTH + TABLE % "show: meen", 8, 53, "bad-value", ["did you mean 'mean'"]),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_at_its_place(tmp_path: Path, name: str) -> None:
    text, line, column, code, parts = CASES[name]
    found = problems(tmp_path, text)
    assert [each.code for each in found] == [code] * len(found)
    assert (found[0].line, found[0].column, found[0].code) == (line, column, code), found[0]
    for part in parts:
        assert part in found[0].message, found[0].message
    assert str(found[0]).startswith(f"{tmp_path / 'study.yaml'}:{line}:{column}: error[{code}]: ")


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = """api_version: 2
study: a/b
workload: small
design:
  type: factoria
  factors:
    a: {path: epochs, levels: [1, 1]}
    b: {path: epochs, levels: [2], when: {c: 1}}
seeds: []
config: {token: abc}
epocs: 3
tables: {t: {metric: test_error, digits: 1.5, fail_when: nonsense}}
"""
    found = problems(tmp_path, text, head="")
    assert [(each.line, each.code) for each in found] == [
        (1, "api-version"),
        (2, "bad-name"),
        (5, "bad-value"),
        (7, "duplicate-value"),
        (8, "unknown-factor"),
        (9, "no-values"),
        (10, "secret"),
        (11, "unknown-key"),
        (12, "wrong-type"),
        (12, "bad-value"),
    ]
