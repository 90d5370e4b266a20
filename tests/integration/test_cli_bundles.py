"""The commands for bundles of a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from micromoment.cli import app
from micromoment.errors import ServerCallError
from micromoment.settings import Settings
from tests.support.swapping import Served, swapping
from tests.support.tiny_bundle import make_tiny_store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a server that begins with the first of two small bundles."""
    store = tmp_path / "store"
    first = make_tiny_store(store)
    make_tiny_store(store, seed=2, training={"first_day": "2024-05-01", "last_day": "2024-05-31"})
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=0,
        bundle=first.tag,
        bundle_store=store,
        state_dir=tmp_path,
        drain_lag=0.0,
    )


async def run(served: Served, *arguments: str) -> Result:
    """Run a command against the server, from another thread."""
    port = str(served.service.admin_port)
    command = [*arguments, "--port", port]
    environment = {"COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, command, env=environment)


async def test_bundles_are_listed_checked_and_activated(settings: Settings) -> None:
    """Who answers is marked; a dry run changes nothing; what is refused ends with status 1."""
    async with swapping(settings) as served:
        before = await run(served, "bundles", "shop")
        checked = await run(served, "activate", "shop:latest", "--dry-run")
        done = await run(served, "activate", "shop:latest")
        again = await run(served, "activate", "shop:latest")
        refused = await run(served, "activate", "shop:serving")
        nothing = await run(served, "bundles", "other")
    latest = (settings.bundle_store / "shop" / "latest").read_text()
    marked = [line for line in before.stdout.splitlines() if line.strip().startswith("*")]
    assert len(marked) == 1
    assert settings.bundle in marked[0]
    assert "2024-05-31" in before.stdout
    assert "conversion" in marked[0]
    assert checked.stdout.startswith(f"shop:{latest} could answer in place of {settings.bundle}")
    told = done.stdout.splitlines()[-1]  # after what the server logs
    assert told.startswith(f"shop:{latest} answers now in place of {settings.bundle}: 4 golden")
    assert again.stdout == f"shop:{latest} answers already\n"
    assert isinstance(refused.exception, ServerCallError)
    assert str(refused.exception).startswith("NOT_FOUND: bundle shop:serving")
    assert nothing.stdout == f"no bundles; shop:{latest} answers\n"


def test_without_a_server_the_setting_is_named() -> None:
    """The error says where nobody answers."""
    result = CliRunner().invoke(app, ["bundles", "--port", "1"])
    assert str(result.exception) == "port 1: no server answers there (setting admin_port)"
