"""Part A: a server ends at once, whatever it does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from micromoment import health
from tests.promises.conftest import Reached, Steady
from tests.support.server_process import START_S, Server, Start
from tests.support.tiny_bundle import make_tiny_store


def a_store_that_hangs(folder: Path) -> str:
    """Give a store in which reading the bundle's manifest never ends."""
    manifest = folder / "shop" / make_tiny_store(folder).version / "manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    return str(folder)


def test_a4_sigterm_while_loading_ends_at_once(
    start: Start, tmp_path: Path, reached: Reached
) -> None:
    """SIGTERM while loading exits <= 2 s: a file that never ends (a FIFO) holds it up."""
    server = start(bundle_store=a_store_that_hangs(tmp_path / "stuck"))
    port = server.await_event("listening")["port"]
    time.sleep(0.5)
    assert health.check(f"127.0.0.1:{port}") == "NOT_SERVING"
    server.process.send_signal(signal.SIGTERM)
    status, seconds = server.end(10)
    reached("A4", f"ended {seconds:.2f} s after SIGTERM while loading")
    assert status == 0, server.log
    assert seconds <= 2


# Its store of user features neither answers, nor closes, nor lets its thread go.
HUNG_STORE = """
import asyncio, functools, threading
from micromoment.bootstrap import make_service, serve
from micromoment.settings import load_settings
from tests.support.serving import SlowUsers

class HungUsers(SlowUsers):
    async def close(self):
        await asyncio.to_thread(threading.Event().wait)

serve(load_settings(), functools.partial(make_service, users=HungUsers()))
"""


def test_a4_a_hung_store_does_not_hold_up_the_end(start: Start, reached: Reached) -> None:
    """SIGTERM with a hung store exits <= 2 s, and says which one did not close."""
    server = start(command=("-c", HUNG_STORE), drain_lag="0")
    server.await_event("serving")
    server.process.send_signal(signal.SIGTERM)
    status, seconds = server.end(20)
    reached("A4", f"ended {seconds:.2f} s after SIGTERM with a store that never closes")
    assert status == 0, server.log
    assert "store_not_closed" in server.log
    assert seconds <= 2


def test_a4_a_taken_port_ends_the_start(start: Start, steady: Steady, reached: Reached) -> None:
    """A taken port exits non-zero <= 3 s, in one line that names the setting."""
    port = steady.address.rpartition(":")[2]
    started = time.monotonic()
    second = start(port=port)
    status, _ = second.end(20)
    seconds = time.monotonic() - started
    reached("A4", f"ended {seconds:.2f} s after the start of its process at a taken port")
    assert status != 0
    assert second.plain_lines == [
        f"micromoment: setting port: cannot listen on 127.0.0.1 port {port}: Address already in use"
    ]
    assert seconds <= 3


def in_a_pid_namespace() -> list[str] | None:
    """Give the command that runs another one as the first process of a namespace; None without."""
    for options in ((), ("--user", "--map-root-user")):
        command = ["unshare", *options, "--pid", "--fork", "--kill-child", "--mount-proc"]
        tried = subprocess.run([*command, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    return None


def status_of(pid: int, name: str) -> list[str]:
    """Read a line of a process's status."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = re.findall(rf"^{name}:(.*)$", text, re.MULTILINE)
    return str(line).split()


def catches(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process handles a signal itself, without which a first process ignores it."""
    return bool(int(status_of(pid, "SigCgt")[0], 16) >> (number - 1) & 1)


def first_process(server: Server) -> int:
    """Give the pid, as seen from here, of what `unshare` runs."""
    deadline = time.monotonic() + START_S
    while not (children := psutil.Process(server.process.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return children[0].pid


@pytest.mark.parametrize("event_name", ["listening", "serving"])
def test_a4_works_as_pid_1(start: Start, tmp_path: Path, reached: Reached, event_name: str) -> None:
    """Works as PID 1: SIGTERM ends it as ever, while it loads and when it serves.

    Where no namespace of processes can be made, its handlers are looked at, which is what the
    kernel asks a first process for.
    """
    settings = {"drain_lag": "0"}
    if event_name == "listening":
        settings["bundle_store"] = a_store_that_hangs(tmp_path / "stuck")
    container = ("-m", "micromoment.container", "serve")
    namespace = in_a_pid_namespace()
    if namespace is None:
        server = start(command=container, **settings)
        pid = server.process.pid
    else:
        server = start(command=container, runner=namespace, **settings)
        pid = first_process(server)
    server.await_event(event_name)
    assert namespace is None or status_of(pid, "NSpid")[-1] == "1"
    assert catches(pid, signal.SIGTERM)
    assert catches(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    status, seconds = server.end(10)
    reached("A4", f"ended {seconds:.2f} s after SIGTERM as PID 1, {event_name}")
    assert status == 0, server.log
    assert seconds <= 2
    assert {"listening": "stopped_while_loading", "serving": '"stopped"'}[event_name] in server.log
