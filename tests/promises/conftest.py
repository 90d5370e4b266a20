"""What the tests of the promises share: their form, quick or long, and the figures that they reach.

Each promise of docs/reliability.md has a test named by its id, which carries the promise's words.
`make test` runs the quick form of all, `make soak` (SOAK=1) the long one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.support.forms import in_form
from tests.support.server_process import Server, Start, servers
from tests.support.shop_server import ShopServer, a_shop_server
from tests.support.tiny_bundle import make_tiny_store
from tests.support.two_bundles import SETTINGS, make_two_bundles

_T = TypeVar("_T")
Reached = Callable[[str, str], None]


class Form(Protocol):
    """Chooses between what the quick and what the long form does."""

    def __call__(self, quick: _T, long: _T) -> _T:
        """Give the one that is asked for."""


@dataclass(frozen=True)
class Steady:
    """A server that serves all along."""

    server: Server
    address: str


@pytest.fixture(scope="session")
def form() -> Form:
    """Choose a number of rounds, seconds and the like by the form that runs."""
    return in_form


@pytest.fixture
def reached(record_property: Callable[[str, object], None]) -> Reached:
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


@pytest.fixture(scope="module")
def steady(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steady]:
    """A server that nothing is done to."""
    with servers(store, tmp_path_factory.mktemp("steady")) as start_server:
        server = start_server()
        yield Steady(server, f"127.0.0.1:{server.await_event('serving')['port']}")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two small bundles; the first is `serving`, the second the latest."""
    folder = tmp_path_factory.mktemp("originals")
    make_two_bundles(folder)
    return folder


@pytest.fixture(scope="module")
def models(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopServer]:
    """A server that begins with the first bundle of a store of its own; tests leave it so."""
    folder = tmp_path_factory.mktemp("models")
    store = Path(shutil.copytree(originals, folder / "store"))
    # What overload refuses is D's: here a machine that others use as well must refuse nothing.
    patient = {"max_wait": "5", **SETTINGS}
    with a_shop_server(store, folder, bundle="shop:serving", **patient) as server:
        yield server
