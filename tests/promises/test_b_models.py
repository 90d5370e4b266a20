"""Part B: bundles that are published, promoted, swapped, damaged, or gone."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.client import AsyncClient
from micromoment.errors import BundleError
from micromoment.scoring.golden import EXPECTED_FILE, check_golden
from micromoment.scoring.manifest import read_manifest
from micromoment.stores.bundle_list import stored_bundles
from micromoment.stores.bundles import find_bundle
from micromoment.stores.loading import load_stored_bundle
from tests.promises.conftest import Form
from tests.support.broken_off import Break, Promoting, breaks, promoting
from tests.support.feature_stores import a_workspace, published
from tests.support.paced_calls import p99, paced
from tests.support.server_process import Start
from tests.support.shop_server import ShopServer, Visits, a_shop_server
from tests.support.swapping import accept_damage, change_latest, damage
from tests.support.tiny_bundle import make_tiny_store
from training.feature_store import materialize
from training.promotion.log import record_now
from training.promotion.promote import move
from training.publishing.store import point_to

Reached = Callable[[str, str], None]

KINDS = ("truncate", "flip", "zero", "header")
FILES = ("conversion.txt", "manifest.json", "golden/expected.parquet", "tables/page_keys.npy")
SETTINGS = {"max_sessions": "1000", "drain_lag": "0"}
DAYS = {"first_day": "2024-04-01", "last_day": "2024-04-30"}
# Of a server whose golden answers were made on another machine.
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two small bundles; the first is `serving`, the second the latest."""
    folder = tmp_path_factory.mktemp("originals")
    first = make_tiny_store(folder, training=DAYS)
    make_tiny_store(folder, seed=2, training=DAYS)
    point_to(folder, "shop", "serving", first.version)
    return folder


@pytest.fixture(scope="module")
def models(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopServer]:
    """A server that begins with the first bundle of a store of its own; tests leave it so."""
    folder = tmp_path_factory.mktemp("models")
    store = Path(shutil.copytree(originals, folder / "store"))
    with a_shop_server(store, folder, bundle="shop:serving", **SETTINGS) as server:
        yield server


def tags(store: Path) -> tuple[str, str]:
    """Name the first and the second bundle."""
    first, second = ((store / "shop" / one).read_text() for one in ("serving", "latest"))
    return f"shop:{first}", f"shop:{second}"


def good_tag(store: Path, pointer: str) -> str:
    """Name what a pointer names, which a server could start with."""
    bundle = load_stored_bundle(find_bundle(store, pointer))
    check_golden(bundle)
    return bundle.tag


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: it breaks processes off"
)


@pytest.fixture(scope="module")
def promoter() -> Iterator[Promoting]:
    """What changes stores in processes that can be broken off."""
    with promoting() as process:
        yield process


class Changes:
    """Three changes of one store, each from the state in which it begins."""

    def __init__(self, originals: Path, folder: Path, promoter: Promoting) -> None:
        self._promoter = promoter
        self.store = folder / "store"
        first, second = tags(originals)
        self.allowed = {first, second}
        added = Path(shutil.copytree(find_bundle(originals, second), folder / "new"))
        before = Path(shutil.copytree(originals, folder / "before"))
        shutil.rmtree(find_bundle(before, second))
        point_to(before, "shop", "latest", first.partition(":")[2])
        between = Path(shutil.copytree(originals, folder / "between"))
        for one, was in ((first, ""), (second, first)):
            versions = (was.partition(":")[2], one.partition(":")[2])
            move(between, "shop", record_now("promote", *versions, "a test"))
        self.orders = {
            "add": (before, {"act": "add", "folder": str(added), "store": str(self.store)}),
            "promote": (originals, {"act": "promote", "tag": second, "store": str(self.store)}),
            "rollback": (between, {"act": "rollback", "name": "shop", "store": str(self.store)}),
        }

    def breaks(self, name: str) -> list[Break]:
        """Give every way to break a change off."""
        status, calls = self.run(name)
        assert status == 0
        return breaks(calls)

    def run(self, name: str, broken: Break | None = None) -> tuple[int, Counter[str]]:
        """Make a change, broken off or not."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.orders[name][0], self.store)
        return self.again(name, broken)

    def again(self, name: str, broken: Break | None = None) -> tuple[int, Counter[str]]:
        """Make it in the store as it is."""
        return self._promoter.run(self.orders[name][1], broken)

    def faults(self, name: str, broken: Break) -> list[str]:
        """Break a change off; tell what a server could not start with afterwards."""
        status, _ = self.run(name, broken)
        found = [] if status or broken.fault != "signal=KILL" else ["was not broken off"]
        for pointer in ("shop:serving", "shop:latest"):
            try:
                if good_tag(self.store, pointer) not in self.allowed:
                    found.append(f"{pointer} is neither")
            except BundleError as error:
                found.append(f"{pointer}: {error}")
        for one in stored_bundles(self.store, "shop"):
            try:
                load_stored_bundle(one.folder)
            except BundleError as error:
                found.append(f"the store lists a bundle that is none: {error}")
        if self.again(name)[0] and name != "rollback":  # back already: there is nothing before
            found.append("can't be done again")
        return [f"{name} broken off by {broken.option}: {one}" for one in found]


@needs_strace
def test_b1_a_promotion_may_be_broken_off_anywhere(
    originals: Path, promoter: Promoting, tmp_path: Path, form: Form, reached: Reached
) -> None:
    """Promotion killed or failed (ENOSPC, EIO) at every write, fsync and rename.

    The last good bundle or the new one serves, 100 %: likewise when a bundle is added, and when
    one goes back. The quick form takes some of the places.
    """
    changes = Changes(originals, tmp_path, promoter)
    found, sizes = [], []
    for name in changes.orders:
        places = changes.breaks(name)
        chosen = random.Random(1).sample(places, min(len(places), form(4, len(places))))
        # The pointers' own calls are few: the quick form takes every kill of them.
        last = [one for one in places if one.fault == "signal=KILL" and one.syscall == "rename"]
        for broken in dict.fromkeys([*last, *chosen]):
            found += changes.faults(name, broken)
        sizes.append(f"{name} at {len(dict.fromkeys([*last, *chosen]))} of {len(places)} places")
    reached("B1", f"{len(found)} times neither the old nor the new one; {', '.join(sizes)}")
    assert found == []


@needs_strace
def test_b1_check_sees_a_pointer_that_is_emptied(
    originals: Path, promoter: Promoting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose pointer is written in place is caught by the check."""
    changes = Changes(originals, tmp_path, promoter)
    broken = changes.breaks("promote")[0]
    status, calls = changes.run("promote")

    def empty(_name: str, _broken: Break | None = None) -> tuple[int, Counter[str]]:
        (changes.store / "shop" / "serving").write_text("")
        return status, calls

    monkeypatch.setattr(changes, "again", empty)
    assert any("shop:serving" in one for one in changes.faults("promote", broken))


def damaged(store: Path, number: int, remade: bool) -> str:
    """Put a damaged copy of the latest bundle into a store; gives its tag.

    Where `remade`, its manifest and version say that its files are to be so.
    """
    good = find_bundle(store, "shop:latest")
    if not remade:
        copy = Path(shutil.copytree(good, good.with_name("damaged")))
        damage(copy / FILES[number % 4], KINDS[number // 4 % 4], number)
        # Under the version of the good one, as a disk that fails damages it.
        shutil.rmtree(good)
        copy.rename(good)
        return f"shop:{good.name}"
    copy = Path(shutil.copytree(good, good.with_name("remade")))
    kind = KINDS[number % 4]
    damage(copy / ("conversion.txt" if number % 3 else FILES[2 + number % 2]), kind, number)
    return accept_damage(store, "shop:remade")


async def test_b2_damaged_bundles_never_answer(
    models: ShopServer, form: Form, reached: Reached
) -> None:
    """1,000 damaged bundles: 0 process deaths, 0 served, last good serves on, one metric each.

    Truncated, flipped, zeroed, headers swapped, in all kinds of files; a tenth with a manifest that
    was made anew to match, so that only the throw-away process can tell. What that lets pass must
    be damage that changes no golden answer by more than 1e-9.
    """
    total, every = form((40, 13), (1_000, 10))
    store, (first, second) = models.store, tags(models.store)
    pristine = Path(shutil.copytree(store, store.with_name("pristine")))
    version = second.partition(":")[2]
    before, outcomes, harmless = models.activations("refused"), [], 0

    def one(number: int) -> tuple[str, str]:
        remade = number % every == every - 1
        tag = damaged(store, number, remade)
        refusal = models.refused(tag)
        if refusal == ("", ""):
            models.admin.activate_bundle(first)
        if not remade:
            shutil.rmtree(find_bundle(store, second))
            shutil.copytree(find_bundle(pristine, second), store / "shop" / version)
        return refusal

    async with AsyncClient(models.address, deadline_s=30) as client:
        visits = Visits(client, store, first, tolerance=TOLERANCE)
        async with paced(visits.call, 20) as calls:
            for number in range(total):
                code, details = await asyncio.to_thread(one, number)
                harmless += not code
                outcomes.append(code)
                assert code in {"", "FAILED_PRECONDITION"}, (number, code, details)
    counted = models.activations("refused") - before
    reached(
        "B2",
        f"{total} damaged bundles: {outcomes.count('FAILED_PRECONDITION')} refused, {counted} "
        f"counted, {harmless} changed no golden answer; {len(calls.failed)} of "
        f"{len(calls.outcomes)} calls failed, {len(visits.wrong)} answered wrongly",
    )
    assert models.server.process.poll() is None
    assert outcomes.count("FAILED_PRECONDITION") == counted == total - harmless
    assert harmless <= total // every
    assert (calls.failed, visits.wrong) == ([], [])
    assert models.answers_with == first
    assert models.admin.activate_bundle(second).changed
    assert models.admin.activate_bundle(first).changed


async def test_b3_bundles_are_swapped_under_load(
    models: ShopServer, form: Form, reached: Reached
) -> None:
    """100 hot swaps at 500 calls/s: 0 failed, p99 <= 2x baseline, RSS < +20 MB.

    Every answer equals the golden value of the bundle that it names, so that none comes from two.
    The quick form makes 4 swaps at 100 calls/s and tells the p99 without judging it: of a few
    hundred calls it is a single wait.
    """
    swaps, rate, limit = form((4, 100, inf), (100, 500, 2.0))
    both = tags(models.store)
    for one in (*both[1:], both[0]):  # what is taken once
        models.admin.activate_bundle(one)
    async with AsyncClient(models.address, deadline_s=30) as client, asyncio.TaskGroup() as group:
        visits, ends = Visits(client, models.store, both[0]), asyncio.Event()
        for player in range(3):
            group.create_task(visits.play(player, ends))
        async with paced(visits.call, rate) as calls:
            started = time.monotonic()
            await asyncio.sleep(form(2.0, 30.0))
            begun, rss = time.monotonic(), models.rss
            for number in range(swaps):
                reply = await asyncio.to_thread(
                    models.admin.activate_bundle, both[(number + 1) % 2]
                )
                assert (reply.changed, reply.previous_bundle) == (True, both[number % 2])
            ended, grown = time.monotonic(), models.rss - rss
        ends.set()
    baseline = p99(one.seconds for one in calls.between(started, begun))
    swapped = p99(one.seconds for one in calls.between(begun, ended))
    reached(
        "B3",
        f"{len(calls.failed)} of {len(calls.outcomes):,} calls failed in {swaps} swaps at "
        f"{rate}/s, {len(visits.wrong)} answered otherwise than their bundle; p99 "
        f"{swapped / baseline:.1f}x; RSS {grown / 1e6:+.1f} MB",
    )
    assert (calls.failed, visits.wrong) == ([], [])
    assert visits.bundles == {*both}
    assert grown < 20e6
    assert swapped <= limit * baseline


def test_b4_one_command_goes_back(
    originals: Path, start: Start, tmp_path: Path, reached: Reached
) -> None:
    """Roll back in one command: a server that follows `serving` answers with the one before."""
    store = Path(shutil.copytree(originals, tmp_path / "store"))
    first, second = tags(originals)
    for one, was in ((first, ""), (second, first)):
        versions = (was.partition(":")[2], one.partition(":")[2])
        move(store, "shop", record_now("promote", *versions, "a test"))
    with a_shop_server(
        store, tmp_path, bundle="shop:serving", bundle_poll="0.1", **SETTINGS
    ) as server:
        assert server.answers_with == second
        started = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "micromoment",
            "rollback",
            "--name",
            "shop",
            "--store",
            str(store),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        while server.answers_with != first:
            assert time.monotonic() < started + 60
            time.sleep(0.05)
    reached("B4", f"answers with the one before {time.monotonic() - started:.1f} s after it began")


def test_b4_unknown_features_are_refused_before_the_swap(models: ShopServer) -> None:
    """A bundle with unknown features or fingerprints refused before the swap."""
    store, (first, second) = models.store, tags(models.store)
    features = read_manifest(find_bundle(store, second)).features
    for change in ({"fingerprint": "0" * 16}, {"name": "user_shoe_size"}):
        changed = change_latest(
            store, features=(features[0].model_copy(update=change), *features[1:])
        )
        code, details = models.refused(changed)
        point_to(store, "shop", "latest", second.partition(":")[2])
        assert code == "FAILED_PRECONDITION"
        assert str(change.get("name", features[0].name)) in details
        assert models.answers_with == first


def with_other_answers(store: Path, by: float) -> str:
    """Put a bundle into a store whose golden conversions are so much higher; gives its tag."""
    good = find_bundle(store, "shop:latest")
    copy = Path(shutil.copytree(good, good.with_name("other-answers")))
    table = pq.read_table(copy / EXPECTED_FILE)
    place = table.column_names.index("conversion")
    other = pa.array(np.asarray(table["conversion"]) + by)
    pq.write_table(table.set_column(place, "conversion", other), copy / EXPECTED_FILE)
    return accept_damage(store, "shop:other-answers")


def test_b4_golden_sessions_agree(models: ShopServer, reached: Reached) -> None:
    """Golden sessions agree to the last bit in one image, to 1e-9 elsewhere."""
    first, second = tags(models.store)
    same = models.admin.activate_bundle(second, dry_run=True)
    near = models.admin.activate_bundle(
        with_other_answers(models.store, TOLERANCE / 10), dry_run=True
    )
    code, details = models.refused(with_other_answers(models.store, TOLERANCE * 10))
    reached(
        "B4",
        f"{same.golden_answers} golden answers agree, {same.golden_inexact} of their numbers not "
        f"to the last bit; {near.golden_inexact} that are 1e-10 off pass, 1e-8 off are refused",
    )
    assert (same.golden_answers, same.golden_inexact) == (4, 0)
    assert near.golden_inexact == 4
    assert code == "FAILED_PRECONDITION"
    assert "conversion differs" in details
    assert models.answers_with == first


async def test_b5_the_model_store_may_be_gone(
    originals: Path, tmp_path: Path, reached: Reached
) -> None:
    """Model store gone or slow: serves on from memory; cold start from the local copy.

    Model age is a metric. The store is first a folder that hangs, then none.
    """
    store = Path(shutil.copytree(originals, tmp_path / "store"))
    first, second = tags(originals)
    given = {"bundle": "shop:serving", "bundle_poll": "0.1"}
    with a_shop_server(store, tmp_path, **given, **SETTINGS) as server:
        async with AsyncClient(server.address, deadline_s=10) as client:
            visits = Visits(client, originals, first)
            async with paced(visits.call, 50) as calls:
                let_hang(store / "shop" / "serving")
                await asyncio.sleep(1.0)
                await asyncio.to_thread(store.rename, tmp_path / "away")
                await asyncio.sleep(1.0)
                assert models_age(server) == pytest.approx(age_of(DAYS["last_day"]), abs=60)
        server.server.process.send_signal(signal.SIGTERM)
        assert server.server.end(10)[0] == 0
    with a_shop_server(store, tmp_path, **given, **SETTINGS) as server:
        cold = server.answers_with
        server.server.await_event("bundle_from_copy")
        point_to(tmp_path / "away", "shop", "serving", second.partition(":")[2])
        await asyncio.to_thread((tmp_path / "away").rename, store)
        started = time.monotonic()
        while server.answers_with != second:
            assert time.monotonic() < started + 60
            await asyncio.sleep(0.05)
    reached(
        "B5",
        f"{len(calls.failed)} of {len(calls.outcomes)} calls failed with the store hung and gone; "
        f"a cold start without it answers with the copy, and follows the store when it is back",
    )
    assert (calls.failed, visits.wrong, visits.bundles) == ([], [], {first})
    assert cold == first


def let_hang(file: Path) -> None:
    """Put something in a file's place that is waited for when it is read."""
    file.unlink()
    os.mkfifo(file)


def models_age(server: ShopServer) -> float:
    """Read the age of the bundle that answers, in seconds."""
    return server.metric("micromoment_bundle_age_seconds")


def age_of(day: str) -> float:
    """Give the seconds since the end of a day in Berlin in summer."""
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1, hours=-2)
    return (datetime.now(UTC) - end).total_seconds()


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
