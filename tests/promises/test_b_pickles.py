"""Part B: nothing is unpickled while a server serves."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from micromoment.client import AsyncClient
from tests.promises.conftest import Reached
from tests.support.feature_stores import a_workspace, published
from tests.support.planted_registry import PLANTS, plant
from tests.support.shop_server import ShopServer, Visits, a_shop_server
from tests.support.two_bundles import SETTINGS, tags
from training.feature_store import materialize

ROOT = Path(__file__).parents[2]
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
PUBLISHING = """
import json, sys

seen = []

def hook(event, arguments):
    if event == "pickle.find_class":
        seen.append(".".join(map(str, arguments[:2])))
    elif event == "compile" and b"planted" in bytes(str(arguments[0]), "utf-8"):
        seen.append("compile")

from micromoment.stores import feast_sdk
from micromoment.stores.errors import RegistryCodeError
from tests.support.feature_stores import published
from training.feature_store import FeatureWorkspace, apply, materialize
from pathlib import Path

sys.addaudithook(hook)
refused = []
for root in map(Path, sys.argv[1:]):
    for use in (apply, lambda workspace: materialize(workspace, published(3))):
        try:
            use(FeatureWorkspace(root))
        except RegistryCodeError as error:
            refused.append(error.place)
print(json.dumps({"refused": refused, "seen": seen}))
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

    While it loads, Numba unpickles the machine code that it made itself. The users' workspace has a
    registry with a function in it, which serving does without.
    """
    workspace = a_workspace(tmp_path)
    materialize(workspace, published(3))
    executed = plant(workspace.root / "registry.db", "on-demand-text")
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
    assert not executed.exists()


def test_b6_check_sees_an_unpickled_class(originals: Path, tmp_path: Path) -> None:
    """A server that unpickles something is seen."""
    script = AUDITED.format(planted=PLANTED)
    with a_shop_server(originals, tmp_path, script, **SETTINGS) as server:
        assert unpickled(server)["serving"] == ["builtins.ValueError"]


def test_b6_a_registry_with_functions_is_refused(tmp_path: Path, reached: Reached) -> None:
    """Registering and publishing refuse it by name; nothing is unpickled, compiled or executed."""
    workspace = a_workspace(tmp_path)
    roots = [Path(shutil.copytree(workspace.root, tmp_path / kind)) for kind in PLANTS]
    executed = [plant(root / "registry.db", root.name) for root in roots]
    command = [sys.executable, "-c", PUBLISHING, *map(str, roots)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    reached("B6", f"{len(told['refused'])} uses of registries with code refused, 0 executed")
    assert len(told["refused"]) == 2 * len(PLANTS)
    assert told["seen"] == []
    assert not [path for path in executed if path.exists()]
