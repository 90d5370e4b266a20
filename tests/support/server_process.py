"""Servers as processes of their own: started, watched by their log, signalled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 120.0  # the first server compiles, on as many cores as others leave it
SERVE = ("-m", "micromoment", "serve")


class Server:
    """A server's process and what it logged."""

    def __init__(
        self,
        settings: dict[str, str],
        command: Sequence[str] = SERVE,
        runner: Sequence[str] = (),
    ) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MICROMOMENT_")}
        environment.update({f"MICROMOMENT_{k.upper()}": v for k, v in settings.items()})
        self.process = subprocess.Popen(
            [*runner, sys.executable, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",  # gRPC's own lines may hold what a peer sent
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def plain_lines(self) -> list[str]:
        """What it wrote that is not a line of the JSON log, of which there is one at most."""
        logged = [line for line in self.lines if line.startswith("{")]
        assert len(logged) <= 1, self.log
        return [line.strip() for line in self.lines if line not in logged]

    @property
    def log(self) -> str:
        """Everything that it wrote so far."""
        return "".join(self.lines)

    def await_event(self, name: str, timeout_s: float = START_S) -> dict[str, Any]:
        """Wait for a line of the log."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if line.startswith("{") and json.loads(line)["event"] == name:
                    found: dict[str, Any] = json.loads(line)
                    return found
            time.sleep(0.02)
        raise AssertionError(f"no {name} in {timeout_s} s: {self.log}")

    def end(self, timeout_s: float) -> tuple[int, float]:
        """Wait for the process to end; give its status and the seconds that it took."""
        started = time.monotonic()
        status = self.process.wait(timeout_s)
        self._reader.join(timeout=5)
        return status, time.monotonic() - started

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)


Start = Callable[..., Server]


@contextmanager
def servers(store: Path, state_dir: Path) -> Iterator[Start]:
    """Give what starts servers of the bundles in `store`; kill those that still run at the end."""
    started: list[Server] = []

    def start_server(
        command: Sequence[str] = SERVE, runner: Sequence[str] = (), **settings: str
    ) -> Server:
        known = {
            "port": "0",
            "metrics_port": "",
            "admin_port": "",
            "bundle_store": str(store),
            "state_dir": str(state_dir / str(len(started))),
            "drain_lag": "0.2",
            "drain_grace": "5",
        }
        server = Server(known | settings, command, runner)
        started.append(server)
        return server

    yield start_server
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        if server.process.stdout is not None:
            server.end(5)
            server.process.stdout.close()
