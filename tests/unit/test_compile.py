"""Machine code made beforehand, as in the image."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from micromoment.compile import compilations
from micromoment.errors import InvalidSettingError
from micromoment.features.sealed_cache import SealedCacheLocator
from tests.support.tiny_bundle import make_tiny_store

LOCATOR = "micromoment.features.sealed_cache.SealedCacheLocator"
# All that a server does before it says SERVING.
LOAD = """
from micromoment.bootstrap import load_parts
from micromoment.compile import compilations
from micromoment.settings import load_settings
from micromoment.transport.observer import NoObserver

with compilations() as compiled:
    load_parts(load_settings(), NoObserver())
print(compiled)
"""


def run(*arguments: str, **environment: str) -> str:
    """Run Python with the image's settings of Numba; gives what it printed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MICROMOMENT_", "NUMBA"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={
            **inherited,
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CACHE_LOCATOR_CLASSES": LOCATOR,
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_a_server_finds_all_its_machine_code(tmp_path: Path) -> None:
    """What `python -m micromoment.compile` leaves is all that a server calls until it serves."""
    cache = str(tmp_path / "machine-code")
    first, second = (
        run("-m", "micromoment.compile", NUMBA_CACHE_DIR=cache).split() for _ in range(2)
    )
    assert int(first[1]) > 10
    assert int(second[1]) == 0
    make_tiny_store(tmp_path / "bundles")
    compiled = run(
        *("-c", LOAD),
        NUMBA_CACHE_DIR=cache,
        MICROMOMENT_BUNDLE_STORE=str(tmp_path / "bundles"),
        MICROMOMENT_EVENT_LOG="",
    )
    assert compiled.splitlines()[-1] == "[]"


def test_compilations_are_listed_by_name() -> None:
    """A function counts when it is compiled, and not when it is called again."""

    def twice(number: int) -> int:
        return 2 * number

    function = numba.njit()(twice)
    with compilations() as compiled:
        function(1)
        function(2)
    assert [name.rpartition(".")[2] for name in compiled] == ["twice"]


def test_a_folder_that_takes_nothing_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what it lacks is an error, one that names the setting and tells what to do."""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "/proc/nowhere")
    locator = SealedCacheLocator.from_function(run, __file__)
    assert locator is not None
    with pytest.raises(InvalidSettingError, match=r"NUMBA_CACHE_DIR: .*micromoment\.compile"):
        locator.ensure_cache_path()


def test_without_folder_or_source_numba_looks_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locator then has no place to offer."""
    assert SealedCacheLocator.from_function(run, "<string>") is None
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    assert SealedCacheLocator.from_function(run, __file__) is None
