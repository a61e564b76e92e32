"""The log of each trial: what goes in, what stays out, how large it grows."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

from orchestrator.execution.logs import TrialLog, captured
from orchestrator.store.logs import DirectoryLogs


def test_each_trial_has_its_own_file(tmp_path: Path) -> None:
    with TrialLog(DirectoryLogs(tmp_path)) as log:
        log.turn_to("a")
        with captured(log):
            print("printed by a")
            logging.getLogger("lib").info("logged by a")
            print("complained by a", file=sys.stderr)
        log.turn_to("b")
        log.note("only b")
        log.turn_to("quiet")
    text = (tmp_path / "logs" / "a.log").read_text()
    assert "printed by a" in text
    assert "INFO lib: logged by a" in text
    assert "complained by a" in text
    assert (tmp_path / "logs" / "b.log").read_text().endswith("orch: only b\n")
    assert not (tmp_path / "logs" / "quiet.log").exists()


def test_outside_the_context_nothing_is_captured(tmp_path: Path) -> None:
    root = logging.getLogger()
    level, handlers, stdout = root.level, list(root.handlers), sys.stdout
    with TrialLog(DirectoryLogs(tmp_path)) as log:
        log.turn_to("a")
        with captured(log):
            assert sys.stdout is log
        assert (root.level, root.handlers, sys.stdout) == (level, handlers, stdout)
        logging.getLogger("lib").warning("later")
    assert not (tmp_path / "logs" / "a.log").exists()


def test_an_echo_gets_what_is_printed_but_no_logging(tmp_path: Path) -> None:
    echo = io.StringIO()
    with TrialLog(DirectoryLogs(tmp_path), echo=echo) as log:
        log.turn_to("a")
        with captured(log):
            print("(Pdb)")
            logging.getLogger("lib").info("detail")
    assert echo.getvalue() == "(Pdb)\n"
    assert "detail" in (tmp_path / "logs" / "a.log").read_text()


def test_a_log_is_rotated_and_passwords_are_masked(tmp_path: Path) -> None:
    with TrialLog(DirectoryLogs(tmp_path), limit_bytes=1000) as log:
        log.turn_to("a")
        for number in range(200):
            log.put(f"line {number} http://me:secret@host/ {'x' * 20}\n")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "logs").iterdir()}
    assert sizes.keys() == {"a.log", "a.log.1"}
    assert max(sizes.values()) <= 1000 + 100
    assert "line 199" in (tmp_path / "logs" / "a.log").read_text()
    assert "secret" not in (tmp_path / "logs" / "a.log").read_text()


def test_a_log_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the place of the folder")
    with TrialLog(DirectoryLogs(tmp_path)) as log:
        log.turn_to("a")
        with captured(log):
            print("goes nowhere")
