"""A container that runc runs from an unpacked image, as strictly as docs/operations.md asks for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMAND_S = 60.0
END_S = 60.0


@dataclass(frozen=True)
class Mount:
    """A folder of the machine inside the container."""

    source: Path
    target: str
    writable: bool = False

    def as_oci(self) -> dict[str, Any]:
        """Give it as OCI's runtime specification has it."""
        options = ["rbind", "nosuid", "nodev", "noexec", "rw" if self.writable else "ro"]
        return {
            "destination": self.target,
            "type": "bind",
            "source": str(self.source),
            "options": options,
        }


def strict_config(config: Mapping[str, Any], rootfs: Path, mounts: Sequence[Mount]) -> Any:  # noqa: ANN401 - JSON
    """Make an image's configuration strict: read-only root, no capabilities, none to be gained.

    `/tmp` is memory; `mounts` take the places of what the image has there.
    """
    strict = json.loads(json.dumps(config))
    strict["root"] = {"path": str(rootfs), "readonly": True}
    strict["process"] |= {
        "terminal": False,
        "noNewPrivileges": True,
        "capabilities": {
            name: [] for name in ("bounding", "effective", "inheritable", "permitted", "ambient")
        },
    }
    temporary = {
        "destination": "/tmp",  # noqa: S108 - of the container
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "nodev", "noexec", "mode=1777", "size=64m"],
    }
    replaced = {"/sys/fs/cgroup", temporary["destination"], *(mount.target for mount in mounts)}
    kept = [mount for mount in strict["mounts"] if mount["destination"] not in replaced]
    strict["mounts"] = [*kept, temporary, *(mount.as_oci() for mount in mounts)]
    return strict


@dataclass
class Container:
    """One container; as a context manager it starts, and is gone afterwards whatever happened.

    `folder` takes its configuration, its log and runc's own files.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.json").write_text(json.dumps(self.config))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._runc("run", "--bundle", str(self.folder), self.name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        subprocess.run(
            self._runc("delete", "--force", self.name),
            check=False,
            capture_output=True,
            timeout=COMMAND_S,
        )
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What its process wrote so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The machine's number of its first process."""
        told = subprocess.run(
            self._runc("state", self.name), check=True, capture_output=True, timeout=COMMAND_S
        )
        return int(json.loads(told.stdout)["pid"])

    @property
    def cpu_seconds(self) -> float:
        """What its first process used."""
        times = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    def logged(self, event: str) -> dict[str, Any] | None:
        """Find an event's line in the log."""
        for line in self.log.splitlines():
            if line.startswith("{") and json.loads(line).get("event") == event:
                return dict(json.loads(line))
        return None

    def await_logged(self, event: str, timeout_s: float) -> dict[str, Any]:
        """Wait for an event's line in the log."""
        for _ in self._while_running(timeout_s):
            found = self.logged(event)
            if found is not None:
                return found
        raise AssertionError(f"no event {event}; its log:\n{self.log}")

    def await_handler(self, of: str, timeout_s: float) -> None:
        """Wait until its first process handles a signal, by its name: it ignores it before."""
        for _ in self._while_running(timeout_s):
            with suppress(OSError, subprocess.CalledProcessError):  # runc is not that far yet
                if int(status_of(self.pid)["SigCgt"], 16) >> (signal.Signals[of] - 1) & 1:
                    return
        raise AssertionError(f"no handler for {of}; its log:\n{self.log}")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return _run(self._runc("exec", self.name, *command))

    def run_beside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the machine in the container's network."""
        return _run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *command])

    def stop(self, by: str) -> tuple[int, float]:
        """Send a signal, by its name; give the exit status and the seconds until the end."""
        started = time.monotonic()
        os.kill(self.pid, signal.Signals[by])
        assert self._process is not None
        return self._process.wait(END_S), time.monotonic() - started

    def wait(self, timeout_s: float) -> int:
        """Wait for the end; give the exit status."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def _while_running(self, timeout_s: float) -> Iterator[None]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._process and self._process.poll() is None:
            yield
            time.sleep(0.02)

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _runc(self, *arguments: str) -> list[str]:
        return ["runc", "--root", str(self.folder / "runc"), *arguments]


def status_of(pid: int) -> dict[str, str]:
    """Give what the kernel tells of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=COMMAND_S, env=os.environ
    )
