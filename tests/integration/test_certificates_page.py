"""The page on certificates, run as it stands."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import Home
from tests.support.fenced import Command, Program, steps
from tests.support.tiny_bundle import make_tiny_store
from training.server_process import free_port

PAGE = (Path(__file__).parents[2] / "docs/certificates.md").read_text(encoding="utf-8")
ADDRESS = "localhost:50051"


@contextmanager
def serving(home: Home, line: str, port: int) -> Iterator[None]:
    """Keep the page's server running, on a port that is free here."""
    settings = {
        "MICROMOMENT_PORT": str(port),
        "MICROMOMENT_METRICS_PORT": "",
        "MICROMOMENT_ADMIN_PORT": "",
        "MICROMOMENT_DRAIN_LAG": "0",
    }
    with home.start("bash", "-c", f"exec env {line}", extra=settings) as process:
        try:
            assert process.stderr is not None
            told = [json.loads(one)["event"] for one in until_serving(process.stderr)]
            assert "insecure" not in told
            assert "key_readable_by_all" not in told
            yield
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            process.kill()


def until_serving(lines: Iterator[str]) -> list[str]:
    """Read a server's log until it serves."""
    read = []
    for line in lines:
        read.append(line)
        if '"event": "serving"' in line:
            return read
    raise AssertionError(f"it does not serve: {read}")


def succeed(home: Home, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a step, which must end with 0."""
    done = home.run(*command)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the page is about openssl")
def test_the_page_leads_to_a_call(tmp_path: Path) -> None:
    """Certificates by openssl, a server that asks for them, a call; without them there is none."""
    home, port = Home(tmp_path), free_port()
    make_tiny_store(home.store)
    commands = [step for step in steps(PAGE) if isinstance(step, Command)]
    (program,) = (step.text for step in steps(PAGE) if isinstance(step, Program))
    *before, serve = commands
    assert " micromoment serve " in serve.line
    for command in before:
        assert command.prints(succeed(home, "bash", "-c", command.line).stdout), command
    for key in ("ca.key", "server.key", "client.key", "shop-a.token"):
        assert (tmp_path / key).stat().st_mode & 0o777 == 0o600, key
    program = program.replace(ADDRESS, f"localhost:{port}")
    plain = program.replace('certificate="client.crt",', "").replace('key="client.key",', "")
    wrong_name = program.replace(f"localhost:{port}", f"ipv4:127.0.0.2:{port}")
    assert len({program, plain, wrong_name}) == 3
    with serving(home, serve.line, port):
        assert "% by shop:" in succeed(home, sys.executable, "-c", program).stdout
        for refused in (plain, wrong_name):
            done = home.run(sys.executable, "-c", refused)
            assert done.returncode != 0
            assert "UNAVAILABLE" in done.stderr
