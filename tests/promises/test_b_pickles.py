"""Part B: nothing is unpickled while a server serves."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

from micromoment.client import AsyncClient
from tests.promises.conftest import Reached
from tests.support.feature_stores import a_workspace, published
from tests.support.shop_server import ShopServer, Visits, a_shop_server
from tests.support.two_bundles import SETTINGS, tags
from training.feature_store import materialize

AUDITED = """
import atexit, json, sys

phase, seen = ["importing"], {{}}

def hook(event, arguments):
    if event == "pickle.find_class":
        name = ".".join(map(str, arguments[:2]))
        seen.setdefault(phase[0], []).append(name)

sys.addaudithook(hook)
atexit.register(lambda: print("audited " + json.dumps(seen), flush=True))

import pickle
from micromoment.bootstrap import make_service, serve
from micromoment.settings import load_settings

def make(settings):
    service = make_service(settings)
    load = service.load
    async def loads():
        phase[0] = "loading"
        await load()
        phase[0] = "serving"
        {planted}
    service.load = loads
    return service

serve(load_settings(), make)
"""
PLANTED = "pickle.loads(pickle.dumps(ValueError))"


async def use(server: ShopServer, originals: Path) -> None:
    """Have visits scored, reasons given, a visitor looked up and bundles swapped."""
    first, second = tags(originals)
    async with AsyncClient(server.address, deadline_s=10) as client:
        visits = Visits(client, originals, first)
        for number in range(8):
            await visits.call(number)
        known = await client.score("known", visits.visit, anonymous_id="a", explain=True)
        await client.get_session("known", explain=True)
        await asyncio.to_thread(server.admin.activate_bundle, second)
        await client.score("later", visits.visit, anonymous_id="b", explain=True)
    assert known.reasons
    assert known.user_features.found


def unpickled(server: ShopServer) -> dict[str, list[str]]:
    """End a server and give the classes that it unpickled, by phase."""
    server.server.process.send_signal(signal.SIGTERM)
    assert server.server.end(10)[0] == 0
    told = re.search(r"^audited (.*)$", server.server.log, re.MULTILINE)
    assert told is not None, server.server.log
    seen: dict[str, list[str]] = json.loads(told[1])
    return seen


async def test_b6_nothing_is_unpickled_while_serving(
    originals: Path, tmp_path: Path, reached: Reached
) -> None:
    """No code-bearing file is ever opened while serving: 0 `pickle.find_class` audit events.

    While it loads, Numba unpickles the machine code that it made itself.
    """
    workspace = a_workspace(tmp_path)
    materialize(workspace, published(3))
    script, settings = AUDITED.format(planted="pass"), {"feature_store": str(workspace.root)}
    bundle = tags(originals)[0]
    with a_shop_server(
        originals, tmp_path, script, bundle=bundle, **settings, **SETTINGS
    ) as server:
        await use(server, originals)
        seen = unpickled(server)
    told = ", ".join(f"{len(names)} while {phase}" for phase, names in seen.items())
    reached("B6", f"{len(seen.get('serving', []))} events while serving; {told or 'none before'}")
    assert "serving" not in seen
    packages = {name.partition(".")[0] for name in seen.get("loading", [])}
    assert packages <= {"numba", "numpy", "builtins", "copyreg", "micromoment"}


def test_b6_check_sees_an_unpickled_class(originals: Path, tmp_path: Path) -> None:
    """A server that unpickles something is seen."""
    script = AUDITED.format(planted=PLANTED)
    with a_shop_server(originals, tmp_path, script, **SETTINGS) as server:
        assert unpickled(server)["serving"] == ["builtins.ValueError"]
