"""The promotion log and the pointer, and what is left of them when a process is killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from micromoment.errors import BundleError, InvalidDataError
from micromoment.stores.bundles import find_bundle
from training.promotion.checks import Check, Verdict, checked
from training.promotion.log import (
    Action,
    Record,
    log_file,
    read_log,
    reconcile,
    record_now,
    rolled_back,
    served_before,
    serving_version,
)
from training.promotion.promote import PromotionError, move, sole

VERSIONS = ("a1", "b2", "c3")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with folders of three versions of `shop`."""
    for version in VERSIONS:
        (tmp_path / "shop" / version).mkdir(parents=True)
    return tmp_path


def go(store: Path, version: str, action: Action = "promote") -> None:
    """Let a version serve, as a command does once the gate is passed."""
    reconcile(store, "shop")
    move(store, "shop", record_now(action, serving_version(store, "shop"), version, "ann"))


def test_the_pointer_is_found_by_its_name(store: Path) -> None:
    """`shop:serving` is the bundle that was promoted last; before any, the message says how."""
    with pytest.raises(
        BundleError, match=r"shop:serving: isn't in the store .*micromoment promote"
    ):
        find_bundle(store, "shop:serving")
    for version in VERSIONS:
        go(store, version)
        assert find_bundle(store, "shop:serving") == store / "shop" / version


def test_records_come_back_as_they_were_written(store: Path) -> None:
    """With who, when and on what grounds, beside the bundles' folder and in no bundle."""
    check = checked("size", passed=True, finding="small", bytes=3.0, share=float("nan"))
    record = Record("2024-05-01T00:00:00+00:00", "ann", "promote", "", "a1", True, "why", ())
    plain = check.to_dict()
    assert plain["figures"] == {"bytes": 3.0, "share": None}
    move(store, "shop", record)
    move(store, "shop", Record(record.time, "bob", "promote", "a1", "b2", checks=(plain,)))
    first, second = read_log(store, "shop")
    assert first == record
    assert second.checks == (plain,)
    assert log_file(store, "shop").parent == store
    assert [path for path in (store / "shop").rglob("*") if path.is_file()] == [
        store / "shop" / "serving"
    ]


def test_what_was_rolled_back_is_known_until_somebody_promotes_it() -> None:
    """A version that was left by a roll-back counts as such, with who did it; others don't."""
    moves = [
        Record("t1", "ann", "promote", "", "a1"),
        Record("t2", "ann", "promote", "a1", "b2"),
        Record("t3", "bob", "rollback", "b2", "a1", reason="complaints"),
    ]
    assert rolled_back(moves) == {"b2": moves[2]}
    assert rolled_back([*moves, Record("t4", "ann", "promote", "a1", "b2")]) == {}


def test_the_way_back_leads_through_what_served(store: Path) -> None:
    """A roll-back takes what it left out of the way; a promotion after it starts from there."""
    for version in VERSIONS:
        go(store, version)
    assert served_before(read_log(store, "shop")) == ["a1", "b2", "c3"]
    go(store, "b2", "rollback")
    assert served_before(read_log(store, "shop")) == ["a1", "b2"]
    go(store, "a1", "rollback")
    go(store, "c3")
    assert served_before(read_log(store, "shop")) == ["a1", "c3"]


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.mark.parametrize("step", range(6))
def test_killed_at_any_step_either_serves(
    store: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old or the new bundle serves; whoever promotes next puts the log right."""
    go(store, "a1")
    left = step

    def counted(run: Callable[..., object]) -> Callable[..., object]:
        def stop_there(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return run(*arguments)

        return stop_there

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted(os.fsync))
        patch.setattr(Path, "replace", counted(Path.replace))
        try:
            go(store, "b2")
            killed = False
        except Killed:
            killed = True
    assert killed == (step < 5)
    serving = serving_version(store, "shop")
    assert serving == ("a1" if step < 4 else "b2")
    go(store, "c3")
    assert served_before(read_log(store, "shop")) == [*dict.fromkeys(("a1", serving)), "c3"]
    actions = [one.action for one in read_log(store, "shop")]
    assert ("broken off" in actions) == (step < 4)


def test_half_a_line_is_no_record(store: Path) -> None:
    """What a killed process left of a line is passed over and then removed."""
    go(store, "a1")
    with log_file(store, "shop").open("ab") as file:
        file.write(b'{"time": "2024')
    assert len(read_log(store, "shop")) == 1
    go(store, "b2")
    assert [one.after for one in read_log(store, "shop")] == ["a1", "b2"]
    log_file(store, "shop").write_bytes(b'{"time": 1}\n')
    with pytest.raises(InvalidDataError, match="line 1 is no promotion"):
        read_log(store, "shop")


def test_one_at_a_time(store: Path) -> None:
    """While one process holds the lock, another is told what is going on."""
    lock = store / "shop.promotion.lock"
    with sole(lock, "promoting a bundle shop"):
        other = sole(lock, "promoting a bundle shop")
        with pytest.raises(PromotionError, match="another process is promoting a bundle shop"):
            other.__enter__()
    with sole(lock, "promoting a bundle shop"):
        pass


def test_a_check_without_a_verdict_fails_nothing() -> None:
    """What was not judged stands in nobody's way."""
    assert Check("size", Verdict.NOT_JUDGED, "why").to_dict()["verdict"] == "not judged"
