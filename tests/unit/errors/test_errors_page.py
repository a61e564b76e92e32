"""docs/errors.md: every code has an example that leads to it, and the page shows what is printed today."""

from __future__ import annotations

import pytest

from scripts.error_examples import GROUPS, RARE
from scripts.errors import PAGE, codes, page

NOT_IN_THE_SOURCE = {"internal"}  # of any exception that nobody has foreseen


def test_every_code_has_an_example() -> None:
    shown = [each.code for group in GROUPS.values() for each in group]
    assert len(set(shown)) == len(shown)
    assert codes() - set(shown) - set(RARE) == set(), "write an example into scripts/error_examples.py"
    assert (set(shown) | set(RARE)) - codes() == NOT_IN_THE_SOURCE, "no error has these codes any more"


def test_the_codes_of_the_source_are_found() -> None:
    found = codes()
    # a call, a class, a constant, a keyword, the word of an "unknown"
    assert {"unknown-key", "held", "too-few-seeds", "too-many-trials", "unknown-attribute"} <= found


@pytest.mark.slow
def test_the_page_is_what_is_printed() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m scripts.errors"


@pytest.mark.parametrize("code", ["held", "internal", "secret-missing", "unknown-key"])
def test_the_page_names(code: str) -> None:
    assert code in PAGE.read_text(encoding="utf-8")
