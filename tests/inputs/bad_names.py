"""Names that nothing in a study may have, as YAML writes them between double quotes."""

from __future__ import annotations

from typing import Final

BAD_NAMES: Final = (
    *("../x", "/abs", "a/b", "..", ".", "", "x" * 300, "-a", "CON", "com1.txt"),
    *("a\\nb", "a\\n", "a\\0b", "a\\u200fb", "\\e[1m", "é"),
    *("<script>", "=cmd()", "'; DROP TABLE trials; --", "%2e%2e", "a#b", "a?b", "a;b"),
)
