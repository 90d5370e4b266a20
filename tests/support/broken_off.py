"""Breaks a change of a bundle store off at any of its writes, fsyncs and renames, by strace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SYSCALLS = (
    "write", "pwrite64", "writev", "sendfile", "copy_file_range", "ftruncate",
    "fsync", "fdatasync", "rename", "renameat", "renameat2",
)  # fmt: skip
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO")
_CALL = re.compile(rf"^(?:\d+ +)?({'|'.join(SYSCALLS)})\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Break:
    """Where a change is broken off, and how: at the n-th call of a kind, counted from 1."""

    syscall: str
    number: int
    fault: str

    @property
    def option(self) -> str:
        """What tells strace so."""
        return f"inject={self.syscall}:{self.fault}:when={self.number}"


@dataclass(frozen=True, slots=True)
class Promoting:
    """The process that forks others which change a store."""

    process: subprocess.Popen[str]

    def run(self, order: dict[str, str], broken: Break | None = None) -> tuple[int, Counter[str]]:
        """Carry out an order, broken off or not; gives its status and its calls by kind."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        with TemporaryDirectory() as folder:
            trace = Path(folder) / "trace"
            options = [f"trace={','.join(SYSCALLS)}", *([broken.option] if broken else [])]
            command = ["strace", "-f", "-o", str(trace), "-p", str(pid)]
            for option in options:
                command += ["-e", option]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
                assert tracer.stderr is not None
                told = tracer.stderr.readline()
                os.kill(pid, signal.SIGCONT)
                status = int(self.process.stdout.readline())
                tracer.stderr.read()
            assert "attached" in told, told
            return status, Counter(_CALL.findall(trace.read_text()))


@contextmanager
def promoting() -> Iterator[Promoting]:
    """Run it while the body runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.promoting"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        yield Promoting(process)
        process.kill()


def breaks(calls: Counter[str]) -> list[Break]:
    """Give every way to break off a change that makes these calls."""
    return [
        Break(syscall, number, fault)
        for fault in FAULTS
        for syscall in SYSCALLS
        for number in range(1, calls[syscall] + 1)
    ]
