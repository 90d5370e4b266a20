"""Withdrawals that are under way in Redis, so that another server finishes those of one that died.

`<prefix>withdrawing` is a hash. A field is a session, as JSON of its tenant and id; its value is
the entry of the log up to which the session's calls are to be deleted. It is written in the same
step that forgets the session, and expires with the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

import structlog

from micromoment.scoring.calls import SessionKey
from micromoment.stores.redis_link import RedisLink

_PAGE: Final = 500
_ENTRY: Final = re.compile(rb"(\d{1,20})-(\d{1,20})")
_MOST: Final = (1 << 64) - 1

# Removes withdrawals that are done; one that was begun again since stays. Key: the hash. Values:
# each field and what it said.
_DONE: Final = b"""
local gone = 0
for place = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[place]) == ARGV[place + 1] then
    gone = gone + redis.call('HDEL', KEYS[1], ARGV[place])
  end
end
return gone
"""

_log = structlog.get_logger(__name__)


def withdrawing_name(prefix: str) -> bytes:
    """Name what tells which withdrawals are under way."""
    return f"{prefix}withdrawing".encode()


def withdrawing_field(key: SessionKey) -> str:
    """Name a session there."""
    return json.dumps([key.tenant, key.session_id])


def session_of(field: bytes) -> SessionKey | None:
    """Give the session that a field names; None for what names none."""
    try:
        tenant, session_id = json.loads(field)
    except (ValueError, TypeError):
        return None
    key = SessionKey(str(tenant), str(session_id))
    # What is written otherwise would never be taken out.
    return key if withdrawing_field(key).encode() == field else None


def _is_entry(entry_id: bytes) -> bool:
    """Tell whether it is what Redis takes for an entry's id: one that isn't would hold all up."""
    found = _ENTRY.fullmatch(entry_id)
    return found is not None and max(map(int, found.groups())) <= _MOST


async def withdrawing(link: RedisLink, prefix: str) -> dict[SessionKey, str]:
    """Give the sessions, each with its entry of the log; what is damaged is passed over.

    Raises `SessionStoreUnavailableError`.
    """
    found: dict[SessionKey, str] = {}
    cursor: bytes | int = 0
    while True:
        cursor, page = await link.ask(b"HSCAN", withdrawing_name(prefix), cursor, b"COUNT", _PAGE)
        for field, entry_id in zip(page[::2], page[1::2], strict=True):
            key = session_of(field)
            if key is None or not _is_entry(entry_id):
                _log.warning("withdrawal_unreadable", bytes=len(field) + len(entry_id))
            else:
                found[key] = entry_id.decode()
        if int(cursor) == 0:
            return found


async def no_longer_withdrawing(
    link: RedisLink, prefix: str, done: Mapping[SessionKey, str]
) -> None:
    """Take out sessions whose calls up to an entry are deleted.

    Raises `SessionStoreUnavailableError`.
    """
    pairs = list(done.items())
    for first in range(0, len(pairs), _PAGE):
        told: list[str] = []
        for key, entry_id in pairs[first : first + _PAGE]:
            told += (withdrawing_field(key), entry_id)
        await link.ask(b"EVAL", _DONE, 1, withdrawing_name(prefix), *told)
