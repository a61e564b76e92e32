"""Study files and arguments with something wrong in them: damaged bytes, lines, words, values and trees.

Everything follows from a number, so that a mutant that trips something can be made again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

# What people and editors leave behind, and what has tripped readers of YAML before.
ODD = (
    *("", "~", "null", "true", "no", "012", "0x1F", "1e-3", "1e999", ".nan", "-.inf", "12:30:00", "=1+1"),
    *("[]", "{}", "[1, 1.0]", "{a: 1}", "[[[]]]", "*missing", "&a [*a]", "!!python/name:os.system", "!x y"),
    *("'", '"', "|", ">", "%TAG ! x", "---", "...", "<<: {a: 1}", "? [a]", ": :", "- - -", "#", "@x", "`x`"),
    *("${HOME}", "${secret:A}", "${secret:", "http://u:p@h/", "../../etc/passwd", "/dev/zero", "a/b.yaml"),
    *("é", "\u202e", "\u0000", "\x1b[31m", "\ufeff", "\ud7ff", "\U0001f600", "a" * 300, "9" * 400),
    *("-1", "0", "1.5", "1e400", "2147483648", "9223372036854775808", "'1'", "1_000", "[1, null]"),
    *("{low: 0, high: 1}", "{low: 1, high: 0, log: true}", "{range: [0, 1000000000]}", "{range: [5, 1]}"),
)
WORDS = (
    *("study", "config", "design", "factors", "levels", "path", "when", "otherwise", "seeds", "evaluate"),
    *(
        "vary",
        "gather",
        "as",
        "tables",
        "rows",
        "columns",
        "metric",
        "show",
        "best",
        "search",
        "space",
        "low",
    ),
    *("high", "log", "step", "trials", "sampler", "pruner", "by", "claims", "higher", "plots", "kind", "zip"),
    *("exclude", "overrides", "set", "extends", "baseline", "on", "cells", "resources", "budget", "fuse"),
    *("published", "from", "where", "at", "average_over", "draws", "family", "min", "max", "until", "width"),
)
_TOKEN = re.compile(r"[A-Za-z0-9_.+-]+|[^\sA-Za-z0-9_.+-]")


def mutant(number: int, seeds: Sequence[str]) -> bytes:
    """Returns a study file that was damaged in one to four places."""
    chance = random.Random(number)
    text = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4))):
        text = chance.choice(_TEXT)(text, chance, seeds)
    content = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        content = _bytes(content, chance)
    return content


def argument(number: int, paths: Sequence[str]) -> str:
    """Returns what might stand after `--set`."""
    chance = random.Random(number)
    path, value = (
        chance.choice(paths),
        chance.choice((*ODD, *WORDS, *(path.rpartition(".")[2] for path in paths))),
    )
    text = f"{path}={value}"
    kind = chance.randrange(8)
    if kind > 5:
        return f"{path}={chance.choice((1, 2, 14, 0.5, 26, 1e-3, [14], 0.25))}"
    if kind == 0:
        return text
    if kind == 1:
        return text.replace(".", chance.choice(("..", "", "/", ".0.", " .", "\u3002")), 1)
    if kind == 2:
        return text.replace("=", chance.choice(("", " = ", "==", ":", "=\n", "=-")), 1)
    if kind == 3:
        place = chance.randrange(len(text) + 1)
        return text[:place] + chance.choice(ODD) + text[place:]
    if kind == 4:
        place = chance.randrange(len(text) + 1)
        return text[:place] + text[place + chance.randrange(1, 4) :]
    return f"{path}={chance.choice('[{')}{value}, {chance.choice(ODD)}{chance.choice(']}')}"


def _value(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """A value in place of another."""
    places = [found for found in re.finditer(r": *([^\n{}\[\],]+)", text)]
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start(1)] + chance.choice(ODD) + text[place.end(1) :]


def _token(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """A word or a sign gone, twice, or another."""
    places = list(_TOKEN.finditer(text))
    if not places:
        return text
    place = chance.choice(places)
    new = chance.choice(
        ("", place[0] * 2, chance.choice(WORDS), chance.choice(ODD), chance.choice(places)[0])
    )
    return text[: place.start()] + new + text[place.end() :]


def _typo(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """Two letters in the wrong order, or one too many."""
    if len(text) < 2:
        return text
    place = chance.randrange(len(text) - 1)
    if chance.random() < 0.5:
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return text[:place] + chance.choice("aeTx0 :,{}[]&*!|>'\"%@`\t\n-") + text[place:]


def _lines(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """A line gone, twice, elsewhere, further in or out, or one of another file."""
    lines = text.split("\n")
    place = chance.randrange(len(lines))
    kind = chance.randrange(6)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, lines[place])
    elif kind == 2:
        lines.insert(chance.randrange(len(lines)), lines.pop(place))
    elif kind == 3:
        lines[place] = chance.choice((" ", "  ", "\t", "    ")) + lines[place]
    elif kind == 4:
        lines[place] = lines[place].lstrip()
    else:
        lines.insert(place, chance.choice(chance.choice(seeds).split("\n")))
    return "\n".join(lines)


def _cut(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """The file ends too soon, or begins too late."""
    place = chance.randrange(len(text) + 1)
    return text[:place] if chance.random() < 0.7 else text[place:]


def _splice(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """The beginning of one file and the end of another."""
    other = chance.choice(seeds)
    return text[: chance.randrange(len(text) + 1)] + other[chance.randrange(len(other) + 1) :]


def _block(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """A part in place of another: a key with everything below it."""
    blocks = re.findall(r"(?m)^( *)([\w.\"' -]+:(?:.*)(?:\n\1 +.*)*)", chance.choice(seeds))
    places = list(re.finditer(r"(?m)^( *)[\w.\"' -]+:.*$", text))
    if not blocks or not places:
        return text
    place, (indent, block) = chance.choice(places), chance.choice(blocks)
    moved = "\n".join(
        place[1] + (line[len(indent) :] if line.startswith(indent) else line) for line in block.split("\n")
    )
    return text[: place.start()] + moved + text[place.end() :]


def _deep(text: str, chance: random.Random, seeds: Sequence[str]) -> str:
    """A value that is nested, or repeated, far too often."""
    deep = chance.choice(("[" * 100, "{a: " * 100, "[" * 30 + "]" * 30, "- " * 100, "x, " * 20_000))
    places = [found.end() for found in re.finditer(r": ", text)] or [0]
    place = chance.choice(places)
    return text[:place] + deep + text[place:]


def _bytes(content: bytes, chance: random.Random) -> bytes:
    """Bytes that no UTF-8 has, or that were flipped."""
    changed = bytearray(content or b"x")
    for _ in range(chance.choice((1, 1, 3, 10))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


_TEXT = (_value, _value, _value, _token, _token, _typo, _lines, _cut, _splice, _block, _block, _deep)
