"""The README's commands and programs, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from micromoment import health
from tests.support.commands import Home
from tests.support.fenced import Command, Program, steps
from training.importers.ga4 import import_ga4
from training.server_process import free_port
from training.simulator import ShopConfig, write_ga4_export

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:50051"
START_S = 120.0
# The README's dates, few visits and many orders; what comes after its last day are later events.
SHOP = ShopConfig(start=date(2020, 12, 19), days=25, sessions_per_day=80, target_conversion=0.15)
LATER = ("events_20210111.parquet", "events_20210112.parquet")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder with what the README takes for granted: `exports` and `data/later`."""
    exports, later = tmp_path / "exports", tmp_path / "later"
    write_ga4_export(SHOP, exports)
    later.mkdir()
    for name in LATER:
        (exports / name).rename(later / name)
    import_ga4(str(later), tmp_path / "data" / "later", currency="USD")
    return Home(tmp_path)


@contextmanager
def serving(home: Home, line: str, address: str) -> Iterator[None]:
    """Keep the server of a README line running, on a port that is free here."""
    port = address.rpartition(":")[2]
    settings = {
        "MICROMOMENT_PORT": port,
        "MICROMOMENT_METRICS_PORT": "",
        "MICROMOMENT_ADMIN_PORT": "",
    }
    with home.start("bash", "-c", f"exec {line}", extra=settings) as process:
        try:
            deadline = time.monotonic() + START_S
            while health.check(address) != "SERVING":
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline, "the server does not serve"
                time.sleep(0.2)
            yield
            process.terminate()
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            process.kill()


@pytest.mark.slow
def test_everything_runs_in_order(home: Home) -> None:
    """Each command and program ends with 0 and prints what is shown; all name one bundle."""
    address = f"127.0.0.1:{free_port()}"
    printed = run_all(home, list(steps(README)), address)
    tags = set(re.findall(r"shop:[0-9a-f]{16}", printed))
    assert len(tags) == 1
    assert (home.folder / "data/scores.parquet").is_file()
    assert (home.folder / "data/report/card.html").is_file()
    assert printed.count('"conversion": ') == 1  # of grpcurl
    assert re.search(r"^\d+\.\d\d% after 2 events, by shop:", printed, re.MULTILINE)


def run_all(home: Home, rest: list[Program | Command], address: str) -> str:
    """Run the steps, those after a server beside it; gives all that they printed."""
    printed = ""
    for place, step in enumerate(rest):
        if isinstance(step, Command) and step.line.startswith("micromoment serve"):
            with serving(home, step.line, address):
                return printed + run_all(home, rest[place + 1 :], address)
        done = run(home, step, address)
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"
        if isinstance(step, Command):
            assert step.prints(done.stdout), f"{step}\n{done.stdout}"
        printed += done.stdout
    return printed


def run(home: Home, step: Program | Command, address: str) -> subprocess.CompletedProcess[str]:
    """Run one step against the server at `address`."""
    if isinstance(step, Program):
        return home.run(sys.executable, "-c", step.text.replace(ADDRESS, address))
    return home.run("bash", "-c", step.line.replace(ADDRESS, address))


def test_the_five_commands_are_there() -> None:
    """Nothing runs green because it is missing: both languages, each command, a foreign client."""
    found = list(steps(README))
    lines = [step.line for step in found if isinstance(step, Command)]
    programs = [step.text for step in found if isinstance(step, Program)]
    for command in ("import ga4", "train", "evaluate", "score", "serve", "parity"):
        assert sum(line.startswith(f"micromoment {command} ") for line in lines) == 1, command
    assert sum(line.startswith("grpcurl ") and ADDRESS in line for line in lines) == 1
    assert any("import_ga4(" in text and "train(" in text for text in programs)
    assert any("micromoment.client" in text and ADDRESS in text for text in programs)
    (train,) = (s for s in found if isinstance(s, Command) and " train " in s.line)
    assert re.fullmatch(r"shop:[0-9a-f]{16}", train.printed)


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of a page is a file or folder of the repository."""
    path = ROOT / page
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
