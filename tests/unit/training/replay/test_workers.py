"""The processes that work is spread over."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.commands import assert_gone
from training.replay.run import run_jobs

# Two workers that say that they are there, then sleep.
SCRIPT = """
import os, time
from training.replay.run import run_jobs

def work(number):
    os.write(1, b"working\\n")  # whole, beside the other's
    time.sleep(60)

if __name__ == "__main__":
    list(run_jobs(work, [1, 2], 2))
"""


def test_results_come_in_order() -> None:
    """Whoever is done first, the jobs' order is kept."""
    assert list(run_jobs(abs, [-3, 2, -1], 2)) == [3, 2, 1]


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """A scheduler that stops training leaves no process behind."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["working\n"] * 2
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    assert_gone(process)
