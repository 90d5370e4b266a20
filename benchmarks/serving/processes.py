"""Servers as processes: starting them, and what they take of processor and memory."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.serving.errors import BenchmarkError

START_S: Final = 90.0
_POLL_S: Final = 0.1
_STOP_S: Final = 10.0


class ServerDidNotStartError(BenchmarkError):
    """A server ended, or its port stayed closed."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: its first process and its port on 127.0.0.1."""

    pid: int
    port: int

    def cpu_s(self) -> float:
        """Give the processor time of it and its children so far, in seconds."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(one.user + one.system for one in times)

    def rss_mb(self) -> float:
        """Give the resident memory of it and its children, in MB."""
        return sum(one.memory_info().rss for one in self._processes()) / 1e6

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]


@contextmanager
def started(
    command: Iterable[str | Path],
    port: int,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Running]:
    """Run a server while the body runs; it begins when the port takes connections.

    Raises `ServerDidNotStartError` naming the log.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            cwd=folder,
        )
    try:
        _wait_for_port(process, port, log)
        yield Running(process.pid, port)
    finally:
        _end(process)


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerDidNotStartError(f"{process.args!r} ended while starting; see {log}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(_POLL_S)
    raise ServerDidNotStartError(f"port {port} stayed closed for {START_S:.0f} s; see {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and its children: a supervisor that is killed leaves its workers."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=1.0)
    for child in alive:
        child.kill()
