"""Part B: promotions that are broken off, and the way back."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from micromoment.errors import BundleError
from micromoment.scoring.golden import check_golden
from micromoment.stores.bundle_list import stored_bundles
from micromoment.stores.bundles import find_bundle
from micromoment.stores.loading import load_stored_bundle
from tests.promises.conftest import Form, Reached
from tests.support.broken_off import Break, Promoting, breaks, promoting
from tests.support.server_process import Start
from tests.support.shop_server import a_shop_server
from tests.support.two_bundles import SETTINGS, tags
from training.promotion.log import record_now
from training.promotion.promote import move
from training.publishing.store import point_to


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
