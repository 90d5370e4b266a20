"""Forgets a session in Redis, in all formats, and leaves a mark that tells servers of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from micromoment.stores.interfaces import Held

# What the mark of a forgotten session holds where its consent was withdrawn.
WITHDRAWN: Final = b"withdrawn"

# Answers how many keys of the session were there, and the id of the row that was logged, if any.
# Keys: what the session's own begin with, the set of formats, the mark, the log where a row is to
# be logged, and the withdrawals under way where it is to be one. Values: how long the mark lives
# (ms), what it says, whether the row is logged for a session that was not there, too (1), then what
# trims the log, the session's name among the withdrawals, and the row.
FORGET: Final = b"""
local gone = redis.call('DEL', KEYS[1] .. ':writes')
for _, suffix in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  gone = gone + redis.call('DEL', KEYS[1] .. suffix)
end
local mark = ARGV[2]
if redis.call('GET', KEYS[3]) == 'withdrawn' then mark = 'withdrawn' end
redis.call('SET', KEYS[3], mark, 'PX', ARGV[1])
local row = ''
if KEYS[4] and (gone > 0 or ARGV[3] == '1') then
  row = redis.call('XADD', KEYS[4], 'MINID', '~', ARGV[4], '*', unpack(ARGV, 8))
  redis.call('XTRIM', KEYS[4], 'MAXLEN', '~', ARGV[5])
  redis.call('PEXPIRE', KEYS[4], ARGV[6])
  if KEYS[5] then
    redis.call('HSET', KEYS[5], ARGV[7], row)
    redis.call('PEXPIRE', KEYS[5], ARGV[6])
  end
end
return {gone, row}
"""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What forgetting a session found: whether it was there, and which entry of the log tells it.

    `entry_id` is empty where nothing was logged.
    """

    was_there: bool
    entry_id: str


def formats_name(prefix: str) -> bytes:
    """Name the set of the formats in use."""
    return f"{prefix}formats".encode()


def forgotten_name(prefix: str, session: str) -> bytes:
    """Name what tells that a session was forgotten, by what its keys begin with."""
    hashed = hashlib.sha256(session.encode()).hexdigest()[:32]
    return f"{prefix}forgotten:{hashed}".encode()


def marked(held: Held, mark: bytes | None) -> Held:
    """Add what the mark of a session that was forgotten says; one that began since is no longer."""
    if mark is None:
        return held
    return replace(held, forgotten=True, withdrawn=mark == WITHDRAWN and held.entry is None)
