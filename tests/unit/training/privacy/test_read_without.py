"""Whatever reads events leaves out whom servers erased and who denied analytics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from micromoment.features.user_snapshot import USER_SNAPSHOT
from micromoment.stores.erasure_list import ErasureList, load_erasures
from micromoment.stores.id_keys import id_encoder
from tests.support.feature_stores import SHOP, day
from tests.support.happenings import Happening, moment, write_events
from training.cli import register
from training.event_files import event_days
from training.pipeline.golden import pick_golden
from training.population import count_population

# Commands with an option --events that do it by themselves, or are to read what is there.
OTHERS = {
    "train": "does it before anything else; tested with `train`",
    "retrain": "the same",
    "erase": "erases",
    "export-user": "tells what is still held",
    "expire": "removes by age, and the list with it",
    "rekey": "does it by itself; tested with `rekey`",
}
KEY = "k1:secret-of-sixteen-1"
# What a command must be given besides; no bundle is there, so that nothing else comes of it.
GIVEN = {
    "--bundle": "none:latest",
    "--from": "2024-05-01",
    "--to": "2024-05-02",
    "--audience": "all",
}

app = typer.Typer()
register(app)


def commands() -> Iterator[tuple[str, ...]]:
    """List the commands with an option `--events` that are none of those."""
    groups: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while groups:
        name, command = groups.pop()
        if isinstance(command, TyperGroup):
            groups += [((*name, one), found) for one, found in command.commands.items()]
        elif any("--events" in one.opts for one in command.params) and name[0] not in OTHERS:
            yield name


def options_of(name: tuple[str, ...]) -> set[str]:
    """Give a command's options."""
    command: Any = typer.main.get_command(app)
    for one in name:
        command = command.commands[one]
    return {option for one in command.params for option in one.opts}


def erased(folder: Path, *forms: str) -> Path:
    """Make a workspace in which a server wrote down that these were erased."""
    told = ErasureList()
    told.add(forms, round(moment(day(9), shop=SHOP).timestamp() * 1e6))
    told.save(folder)
    return folder


def an_event_folder(folder: Path) -> Path:
    """Write two visitors' events of two days."""
    happenings = [
        Happening(moment(day(number), shop=SHOP), anonymous_id=who, session_id=f"{who}{number}")
        for number in range(2)
        for who in ("canary", "other")
    ]
    return write_events(folder, happenings, SHOP)


def visitors(folder: Path) -> set[str]:
    """Give who is in a folder of events."""
    return {
        one
        for path in folder.glob("*.parquet")
        for one in pq.read_table(path, columns=["anonymous_id"])["anonymous_id"].to_pylist()
    }


def test_commands_are_found() -> None:
    """The walk over the command line finds what there is."""
    assert {
        ("evaluate",), ("backtest",), ("recalibrate",), ("score",), ("lint-data",), ("promote",),
        ("parity",), ("readiness",), ("tune",), ("audience", "export"), ("audience", "sizes"),
    } <= set(commands())  # fmt: skip


@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "keyed"])
@pytest.mark.parametrize("name", sorted(commands()), ids=" ".join)
def test_whom_servers_erased_no_command_reads(
    name: tuple[str, ...], keyed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go from the folder first, also where servers know them by a pseudonym."""
    events = an_event_folder(tmp_path / "events")
    ids = id_encoder(None, KEY if keyed else None)
    features = erased(tmp_path / "features", ids.encode("canary"))
    if keyed:
        monkeypatch.setenv("MICROMOMENT_ID_KEYS", KEY)
    known = options_of(name)
    given = [part for pair in GIVEN.items() if pair[0] in known for part in pair]
    if "--out" in known:
        given += ["--out", str(tmp_path / "out" / "file.parquet")]
    if "--store" in known:
        given += ["--store", str(tmp_path / "store")]
    arguments = [*name, "--events", str(events), "--features", str(features), *given]
    CliRunner().invoke(app, arguments)
    assert visitors(events) == {"other"}
    assert len(load_erasures(events)) > 0


def denied_and_not(folder: Path) -> Path:
    """Write a day of three visits, one of them with analytics denied."""
    at = moment(day(0), shop=SHOP)
    happenings = [
        Happening(
            at + timedelta(seconds=seq),
            anonymous_id=who,
            session_id=who,
            consent_analytics=answer,
            type="purchase" if seq == 2 else "page_view",
            order_id=who if seq == 2 else None,
            source_seq=seq,
        )
        for who, answer in (("no", "denied"), ("yes", "granted"), ("silent", None))
        for seq in (1, 2)
    ]
    return write_events(folder, happenings, SHOP)


def test_no_golden_session_has_a_denied_event(tmp_path: Path) -> None:
    """It would go into the bundle."""

    def nobody(asked: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(len(asked), USER_SNAPSHOT), np.zeros(len(asked), np.int8)

    events, _ = pick_golden(event_days(denied_and_not(tmp_path / "events")), nobody, None)
    assert set(events["session_id"].to_pylist()) == {"yes", "silent"}


def test_no_count_has_a_denied_event(tmp_path: Path) -> None:
    """Neither days, nor funnel, nor orders."""
    found = count_population(event_days(denied_and_not(tmp_path / "events")))
    (counts,) = found.days
    assert (counts.events, counts.visits, counts.visitors, counts.buyers) == (4, 2, 2, 2)
    assert found.orders == 2
    assert max(max(one.reached) for one in found.funnel) == 2
