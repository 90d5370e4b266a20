"""The list of who was erased, in a folder of events or features: `erasures.json`.

It holds hashes of ids as they are stored, with times, so that what is imported again or was not yet
rewritten brings nobody back.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from micromoment.errors import InvalidDataError
from micromoment.stores.tombstones import visitor_mark

ERASURES_FILE: Final = "erasures.json"
_FORMAT: Final = 1


@dataclass(slots=True)
class ErasureList:
    """Until when events of whom don't count, microseconds since 1970 by a hash of the id."""

    times: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)

    def until(self, visitor_id: str) -> int:
        """Give until when events of a visitor don't count, 0 for all that do."""
        return self.times.get(_mark(visitor_id), 0) if visitor_id else 0

    def latest(self, forms: Iterable[str]) -> int:
        """Give until when events don't count of somebody who may be stored in several forms."""
        return max(map(self.until, forms), default=0)

    def add(self, visitors: Iterable[str], time_us: int) -> None:
        """Note that visitors were erased."""
        for visitor in visitors:
            if visitor:
                mark = _mark(visitor)
                self.times[mark] = max(time_us, self.times.get(mark, 0))

    def lacks(self, other: ErasureList) -> bool:
        """Tell whether another list has what this one has not."""
        return any(time_us > self.times.get(mark, 0) for mark, time_us in other.times.items())

    def take_in(self, other: ErasureList) -> None:
        """Note all that another list says."""
        for mark, time_us in other.times.items():
            self.times[mark] = max(time_us, self.times.get(mark, 0))

    def drop_before(self, time_us: int) -> int:
        """Forget those that are older; give how many."""
        before = len(self.times)
        self.times = {mark: when for mark, when in self.times.items() if when >= time_us}
        return before - len(self.times)

    @property
    def last_us(self) -> int:
        """When the last one was, 0 where there is none."""
        return max(self.times.values(), default=0)

    @property
    def digest(self) -> str:
        """What tells this list from others, 16 characters; empty for an empty one."""
        if not self.times:
            return ""
        told = json.dumps(self.times, sort_keys=True).encode()
        return hashlib.sha256(told).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write it into a folder; it appears whole or stays as it was."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{ERASURES_FILE}.{os.getpid()}.draft"
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, "erased": self.times}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(folder / ERASURES_FILE)
        finally:
            draft.unlink(missing_ok=True)


def load_erasures(folder: Path) -> ErasureList:
    """Read the list of a folder, an empty one where there is none.

    Raises `InvalidDataError` for a damaged one: it would bring people back.
    """
    path = folder / ERASURES_FILE
    if not path.exists():
        return ErasureList()
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != _FORMAT:
            raise InvalidDataError(str(path), f"is of format {found['format']}, not {_FORMAT}")
        return ErasureList({str(mark): int(when) for mark, when in found["erased"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidDataError(str(path), f"can't be read: {type(error).__name__}") from None


def _mark(visitor_id: str) -> str:
    return visitor_mark("", visitor_id).hex()
