"""`micromoment train`: what it prints and leaves, alone, again and interrupted."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.golden import check_golden
from micromoment.stores.bundles import find_bundle
from tests.e2e.conftest import TRAINED_UNTIL, TrainedShop
from tests.support.commands import BIN, TIMEOUT_S, Home, assert_gone

# Interrupts come as soon as so many steps are done: users' snapshots are cut, models are fitted.
INTERRUPTED_AFTER = (1, 7)
STEP_DONE = "✓"
WRITTEN_BY_BENTOML = {"model.yaml"}  # holds the time


@dataclass(frozen=True)
class Interrupted:
    """How a training ended that got Ctrl-C, and the versions that it left in the store."""

    status: int
    stderr: str
    versions: list[str]


@dataclass(frozen=True)
class Second:
    """A home in which training was interrupted several times and then ran through."""

    home: Home
    interruptions: list[Interrupted]
    stdout: str


@pytest.fixture(scope="module")
def second(shop: TrainedShop, tmp_path_factory: pytest.TempPathFactory) -> Second:
    """The same events trained on in another home, workspace and store, with one worker."""
    home = Home(tmp_path_factory.mktemp("second"))
    arguments = ("train", "--events", shop.events, "--until", TRAINED_UNTIL.isoformat())
    elsewhere = ("--features", "workspace", "--store", "bundles", "--workers", "1")
    command = (*map(str, arguments), *elsewhere)
    interruptions = [interrupt(home, command, steps) for steps in INTERRUPTED_AFTER]
    return Second(home, interruptions, home.succeed(*command).stdout)


def interrupt(home: Home, command: tuple[str, ...], steps: int) -> Interrupted:
    """Train, and press Ctrl-C after some steps: the terminal sends SIGINT to the whole group."""
    with home.start(BIN / "micromoment", *command) as process:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if seen.count(STEP_DONE) == steps:
                os.killpg(process.pid, signal.SIGINT)
                break
        _, rest = process.communicate(timeout=TIMEOUT_S)
    assert_gone(process)
    versions = [path.name for path in (home.folder / "bundles").glob("*/*")]
    return Interrupted(process.returncode, seen + rest, versions)


def bundle_files(folder: Path) -> dict[str, bytes]:
    """Give the content of all files of a bundle that training writes."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}
    return {n: p.read_bytes() for n, p in files.items() if n not in WRITTEN_BY_BENTOML}


def test_stdout_is_the_tag_alone(shop: TrainedShop) -> None:
    """A script can take the tag from stdout; what people read is on stderr."""
    assert re.fullmatch(r"shop:[0-9a-f]{16}\n", shop.stdout)
    assert "decision points" in shop.stderr
    assert shop.tag not in shop.stderr


def test_the_trained_bundle_is_whole_and_the_latest(shop: TrainedShop) -> None:
    """The store holds it under its tag and as the latest, and its golden sessions score alike."""
    assert find_bundle(shop.home.store, shop.tag) == shop.bundle
    assert find_bundle(shop.home.store, "shop:latest") == shop.bundle
    bundle = load_bundle(shop.bundle)
    assert bundle.tag == shop.tag
    assert bundle.manifest.training["last_day"] == TRAINED_UNTIL.isoformat()
    assert check_golden(bundle).inexact == 0


def test_two_trainings_give_one_bundle(shop: TrainedShop, second: Second) -> None:
    """Neither workspace, store, number of workers nor earlier interruptions change a byte."""
    assert second.stdout == shop.stdout
    again = find_bundle(second.home.folder / "bundles", shop.tag)
    assert bundle_files(again) == bundle_files(shop.bundle)


@pytest.mark.parametrize("number", range(len(INTERRUPTED_AFTER)))
def test_an_interrupt_ends_training(second: Second, number: int) -> None:
    """Ctrl-C ends it with status 130, without a traceback, and no bundle is in the store."""
    interruption = second.interruptions[number]
    assert interruption.status == 128 + signal.SIGINT
    assert "Traceback" not in interruption.stderr
    assert interruption.stderr.count(STEP_DONE) == INTERRUPTED_AFTER[number]
    assert interruption.versions == []
