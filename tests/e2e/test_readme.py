"""The README's commands and examples, run as they stand, in their order."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from tests.support.commands import BIN, Home
from training.server_process import free_port
from training.simulator import ShopConfig, write_ga4_export

README = Path(__file__).parents[2] / "README.md"
ADDRESS = "127.0.0.1:50051"
FIRST_LATER_DAY = "2021-01-04"
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> list[tuple[str, str]]:
    """Give what a reader runs: shell commands and Python examples, in order."""
    found = []
    for kind, text in _BLOCK.findall(README.read_text(encoding="utf-8")):
        if kind == "python":
            found.append(("python", text))
        else:
            found += [("shell", line[2:]) for line in text.splitlines() if line.startswith("$ ")]
    return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder with the raw export of a small shop in the days that the README speaks of."""
    config = ShopConfig(days=23, start=date(2020, 12, 19), sessions_per_day=400)
    write_ga4_export(config, tmp_path / "exports")
    return Home(tmp_path)


@contextmanager
def serving(home: Home, command: str, address: str) -> Iterator[None]:
    """Run the server of the README on a free port until the examples are through."""
    port = address.rpartition(":")[2]
    with home.start("bash", "-c", f"exec {command} --port {port} --metrics-port 0") as process:
        try:
            for _ in range(600):
                if (
                    home.run(BIN / "python", "-m", "micromoment.health", "--port", port).returncode
                    == 0
                ):
                    break
                assert process.poll() is None, process.communicate()
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.communicate(timeout=60)
    assert process.returncode == 0


def run_step(home: Home, kind: str, text: str, address: str) -> str:
    """Run one step, which must succeed, and give what it printed."""
    text = text.replace(ADDRESS, address)
    command = ("bash", "-c", text) if kind == "shell" else (BIN / "python", "-c", text)
    done = home.run(*command)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_works(home: Home) -> None:
    """Each command ends well; the examples get a conversion from the server that it starts."""
    address = f"127.0.0.1:{free_port()}"
    before = [step for step in steps() if not step[1].startswith("micromoment serve")]
    (serve,) = [text for _, text in steps() if text.startswith("micromoment serve")]
    calls = [step for step in before if ADDRESS in step[1]]
    assert len(calls) == 2
    for kind, text in before:
        if (kind, text) in calls:
            continue
        if "data/later" in text:
            later = home.folder / "data" / "later"
            later.mkdir()
            for file in (home.folder / "data" / "events").glob("*.parquet"):
                if file.stem >= FIRST_LATER_DAY:
                    shutil.copy(file, later)
        run_step(home, kind, text, address)
    assert (home.folder / "data" / "report" / "evaluation.html").is_file()
    assert (home.folder / "scores.parquet").is_file()
    with serving(home, serve, address):
        example, grpcurl = (run_step(home, kind, text, address) for kind, text in calls)
    assert re.search(r"\d+\.\d\d% after 2 events, by shop:", example)
    assert '"conversion"' in grpcurl
    assert '"events_seen": "1"' in grpcurl
