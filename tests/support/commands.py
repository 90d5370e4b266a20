"""The command line as a person runs it: a process of its own, with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
TIMEOUT_S = 600
GRACE_S = 10


def assert_gone(process: subprocess.Popen[str]) -> None:
    """Nothing is left of a process that has ended, nor of those that it started."""
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"processes of {process.args!r} are still running")


@dataclass(frozen=True)
class Home:
    """A working folder and the BentoML home of somebody who works there."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment: no settings but these, the project's commands on the path."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MICROMOMENT_")}
        kept.pop("PROMETHEUS_MULTIPROC_DIR", None)  # set by Feast when a test imported it
        return {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "COLUMNS": "160",  # tables that no line is broken in
        }

    @property
    def store(self) -> Path:
        """The model store in it."""
        return self.folder / "bentoml" / "models"

    def start(
        self, *command: str | Path, extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command in the folder, as the head of a process group of its own."""
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=self.folder,
            env={**self.environment, **(extra or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *command: str | Path, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder and give what it printed and its status."""
        with self.start(*command, extra=extra) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT_S)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def micromoment(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `micromoment` in the folder."""
        return self.run(BIN / "micromoment", *arguments)

    def succeed(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `micromoment`, which must end with status 0."""
        done = self.micromoment(*arguments)
        assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done
