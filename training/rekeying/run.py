"""Brings all stores that are named under the current key, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from micromoment.errors import InvalidSettingError
from micromoment.events.identity import IdEncoder
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from micromoment.stores.redis_log import is_redis
from training.privacy.erase import apply_erasures
from training.progress import Steps
from training.rekeying.event_files import event_files, rekey_events
from training.rekeying.log_folder import log_files, rekey_log_folder
from training.rekeying.log_streams import rekey_log_streams
from training.rekeying.renaming import Renaming, StoreReport
from training.rekeying.workspace import files_with_ids, rekey_workspace, require_at_rest


@dataclass(frozen=True)
class RekeyRequest:
    """Which stores to bring under the current key of `ids`.

    `log` is a folder or the URL of a Redis, `state_file` that of a server with the log.
    """

    ids: IdEncoder
    log: str = ""
    state_file: Path | None = None
    events: tuple[Path, ...] = ()
    workspace: Path | None = None
    session_prefix: str = DEFAULT_PREFIX


def rekey(request: RekeyRequest, steps: Steps | None = None) -> list[StoreReport]:
    """Bring the stores under the current key and tell what came of each.

    With events and a workspace, people whom a server erased are erased from the events first.
    It may be interrupted and run again: each file is replaced whole or not at all. Raises
    `InvalidSettingError` without keys or stores, and for a state file without its log.
    """
    steps = steps or Steps()
    if not request.ids.is_on:
        raise InvalidSettingError("id_key_file", "is needed: there is no key to bring ids under")
    if not (request.log or request.events or request.workspace):
        raise InvalidSettingError("log, events, features", "name a store to bring under the key")
    if request.state_file is not None and (not request.log or is_redis(request.log)):
        raise InvalidSettingError(
            "state_file",
            "needs the folder of its server's log: sessions are brought back from there. Without a"
            " log they go on under their key until they end",
        )
    if request.workspace is not None:
        require_at_rest(request.workspace)  # before anything is changed anywhere
    folders = [folder for folder in (*request.events, request.workspace) if folder is not None]
    # While ids are still as the list of the features may name them.
    erased = {folder: _apply_erasures(request, folder) for folder in request.events}
    renaming = Renaming(request.ids, folders)
    reports: list[StoreReport] = []
    if request.log and is_redis(request.log):
        with steps.step("Event log in Redis", 2) as advance:
            reports += rekey_log_streams(request.log, request.session_prefix, renaming, advance)
    elif request.log:
        folder = Path(request.log)
        with steps.step("Event log", len(log_files(folder))) as advance:
            reports += rekey_log_folder(folder, renaming, advance, request.state_file)
    for events in request.events:
        with steps.step(f"Events {events.name}", len(event_files(events))) as advance:
            reports.append(rekey_events(events, renaming, advance))
        if erased[events]:
            reports[-1].note = f"{erased[events]:,} rows of people who were erased are removed"
    if request.workspace is not None:
        with steps.step("Users' features", len(files_with_ids(request.workspace)) + 1) as advance:
            reports += rekey_workspace(request.workspace, renaming, advance)
    return reports


def _apply_erasures(request: RekeyRequest, events: Path) -> int:
    if request.workspace is None:
        return 0
    return sum(apply_erasures(request.workspace, events, request.ids).rows.values())


def rekey_lines(reports: list[StoreReport]) -> Iterator[str]:
    """Say what came of each store: its name whole, which may be long, then the counts."""
    for one in reports:
        yield one.store
        counts = {
            "files": one.files,
            "rewritten": one.rewritten,
            "rows": one.rows,
            "renamed": one.renamed,
            "left": one.left,
            "waiting": one.waiting,
        }
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        yield f"  {told}{f'; {one.note}' if one.note else ''}"
