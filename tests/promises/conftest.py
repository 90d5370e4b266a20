"""What the tests of the promises share: their form, quick or long, and the figures that they reach.

Each promise of docs/reliability.md has a test named by its id, which carries the promise's words.
`make test` runs the quick form of all, `make soak` (SOAK=1) the long one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.support.forms import in_form
from tests.support.server_process import Start, servers
from tests.support.tiny_bundle import make_tiny_store

_T = TypeVar("_T")


class Form(Protocol):
    """Chooses between what the quick and what the long form does."""

    def __call__(self, quick: _T, long: _T) -> _T:
        """Give the one that is asked for."""


@pytest.fixture(scope="session")
def form() -> Form:
    """Choose a number of rounds, seconds and the like by the form that runs."""
    return in_form


@pytest.fixture
def reached(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Take the figure that a promise reached; the end of the run lists them all."""

    def record(promise: str, figure: str) -> None:
        record_property("promise", f"{promise}  {figure}")

    return record


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


@pytest.fixture
def start(store: Path, tmp_path: Path) -> Iterator[Start]:
    """Start servers; those that still run are killed afterwards."""
    with servers(store, tmp_path) as start_server:
        yield start_server
