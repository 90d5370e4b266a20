"""Finds and erases sessions, calls and events of visitors in a Redis that servers use meanwhile.

Redis looks through its own data in pages, so that only what is found travels, and no page holds
others up for more than a few milliseconds.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final

from micromoment.stores.log_erasing import ErasedFromLog
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import stream_name
from micromoment.stores.redis_sessions import sessions_name

_PAGE: Final = 500
_WORD: Final = struct.Struct("<Q")

# Answers which of the keys hold one of the words that are given: the suffix of keys whose format is
# known, the word's place in their states, then words. Before the state are 34 bytes and the last
# event's id, whose length is in the last two of them. In other formats words count anywhere.
_HOLDING: Final = b"""
local suffix, place, found = ARGV[1], tonumber(ARGV[2]), {}
for _, key in ipairs(KEYS) do
  local value = redis.call('GET', key) or ''
  local is_known = string.sub(key, -#suffix) == suffix
  local at = #value
  if #value >= 34 then
    at = 35 + string.byte(value, 33) + 256 * string.byte(value, 34) + place
  end
  for number = 3, #ARGV do
    local word = ARGV[number]
    if is_known and string.sub(value, at, at + #word - 1) == word
      or not is_known and string.find(value, word, 1, true) then
      found[#found + 1] = key
      break
    end
  end
end
return found
"""
# Goes through a page of a stream: after which id, how many, whether to delete, the tenant, the
# field that is told of each entry, * for all, the last id, how many visitors, the visitors, then
# sessions, each with the id of the last of its entries that counts, + for all.
# Answers the last id of the page, empty at the stream's end, and what is told of their entries.
_PAGE_OF: Final = b"""
local visitors, sessions = {}, {}
for place = 8, 7 + ARGV[7] do visitors[ARGV[place]] = true end
for place = 8 + ARGV[7], #ARGV, 2 do sessions[ARGV[place]] = ARGV[place + 1] end
local function parts(id)
  local time, number = string.match(id, '(%d+)-(%d+)')
  return tonumber(time), tonumber(number)
end
local function counts(id, last)
  if not last or last == '+' then return last end
  local time, number = parts(id)
  local last_time, last_number = parts(last)
  return time < last_time or time == last_time and number <= last_number
end
local page = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[6], 'COUNT', ARGV[2])
local told = {}
for _, entry in ipairs(page) do
  local fields = {}
  for place = 1, #entry[2], 2 do fields[entry[2][place]] = entry[2][place + 1] end
  local theirs = visitors[fields['visitor']] or counts(entry[1], sessions[fields['session']])
  if theirs and fields['tenant'] == ARGV[4] then
    told[#told + 1] = ARGV[5] == '*' and entry[2] or fields[ARGV[5]] or ''
    if ARGV[3] == '1' then redis.call('XDEL', KEYS[1], entry[1]) end
  end
end
local last = ''
if #page == tonumber(ARGV[2]) then last = page[#page][1] end
return {last, told}
"""


async def sessions_holding(
    link: RedisLink,
    prefix: str,
    tenant: str,
    words: Collection[int],
    *,
    suffix: str,
    place: int,
    others: bool,
) -> frozenset[str]:
    """Give the ids of a tenant's sessions whose states hold one of the words at byte `place`.

    Words have 64 bits, as the hashes of visitors in states. Keys of the format whose places are
    known end in `suffix`. With `others`, those of other formats are given where they hold a word
    anywhere: all that can be the visitors', and some whose product or page has a visitor's id.
    Raises `SessionStoreUnavailableError`.
    """
    begin = sessions_name(prefix, tenant).encode()
    pattern = _escaped(begin) + b"*}" + (b":v*" if others else _escaped(suffix.encode()))
    packed = [_WORD.pack(word) for word in words]
    found: set[str] = set()
    cursor: bytes | int = 0
    while True:
        cursor, keys = await link.ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _PAGE)
        if keys and packed:
            held = await link.ask(b"EVAL", _HOLDING, len(keys), *keys, suffix, place, *packed)
            found.update(key[len(begin) : key.rindex(b"}:v")].decode() for key in held)
        if int(cursor) == 0:
            return frozenset(found)


async def sessions_in_stream(
    link: RedisLink, prefix: str, tenant: str, visitors: Collection[str]
) -> frozenset[str]:
    """Give the ids of all logged sessions in which one of the visitors occurs.

    Raises `SessionStoreUnavailableError`.
    """
    told = await _through(link, stream_name(prefix), tenant, "session", visitors, (), delete=False)
    return frozenset(told) - {""}


async def erase_calls(
    link: RedisLink,
    prefix: str,
    tenant: str,
    *,
    visitors: Collection[str] = (),
    sessions: Collection[str] = (),
) -> ErasedFromLog:
    """Delete the logged calls of visitors, of sessions in which they occur, and of sessions.

    Ids are encoded. Raises `SessionStoreUnavailableError`; doing it again deletes what is left.
    """
    wanted = frozenset(sessions) | await sessions_in_stream(link, prefix, tenant, visitors)
    gone = await _through(
        link, stream_name(prefix), tenant, "session", visitors, wanted, delete=True
    )
    return ErasedFromLog(wanted, len(gone))


async def erase_calls_until(
    link: RedisLink, prefix: str, tenant: str, last: Mapping[str, str]
) -> int:
    """Delete the logged calls of sessions, of each those up to an entry's id; give how many.

    Later ones are of a session that began anew. An empty id means all. Raises as `erase_calls`.
    """
    gone = await _through(link, stream_name(prefix), tenant, "session", (), last, delete=True)
    return len(gone)


async def erase_events(
    link: RedisLink, stream: str, tenant: str, visitors: Collection[str]
) -> list[str]:
    """Delete visitors' events from outside a visit in a stream, and give the events' ids.

    Raises `SessionStoreUnavailableError`; doing it again deletes what is left.
    """
    return await _through(link, stream, tenant, "id", visitors, (), delete=True)


async def entries_of(
    link: RedisLink,
    stream: str,
    tenant: str,
    *,
    visitors: Collection[str] = (),
    sessions: Collection[str] = (),
) -> AsyncIterator[dict[bytes, bytes]]:
    """Go through the entries of visitors and of sessions. Raises `SessionStoreUnavailableError`."""
    async for page in _pages(link, stream, tenant, "*", visitors, sessions, delete=False):
        for flat in page:
            yield dict(zip(flat[::2], flat[1::2], strict=True))


async def _through(
    link: RedisLink,
    stream: str,
    tenant: str,
    field: str,
    visitors: Collection[str],
    sessions: Collection[str],
    *,
    delete: bool,
) -> list[str]:
    told: list[str] = []
    async for page in _pages(link, stream, tenant, field, visitors, sessions, delete=delete):
        told += [value.decode() for value in page]
    return told


async def _pages(
    link: RedisLink,
    stream: str,
    tenant: str,
    field: str,
    visitors: Collection[str],
    sessions: Collection[str],
    *,
    delete: bool,
) -> AsyncIterator[list[Any]]:
    whose = sorted(set(visitors) - {""})
    until = dict(sessions) if isinstance(sessions, Mapping) else dict.fromkeys(sessions, "")
    pairs = [one for session, last in until.items() for one in (session, last or "+")]
    # Without visitors nothing counts after the last of the sessions' last.
    ends = [] if whose else list(until.values())
    end = max(ends, key=_order_of) if ends and all(ends) else "+"
    after = "-"
    while True:
        last, fields = await link.ask(
            b"EVAL", _PAGE_OF, 1, stream,
            after, _PAGE, int(delete), tenant, field, end, len(whose), *whose, *pairs,
        )  # fmt: skip
        yield fields
        if not last:
            return
        after = f"({last.decode()}"


def _order_of(entry_id: str) -> tuple[int, int]:
    time_ms, number = entry_id.split("-")
    return int(time_ms), int(number)


def _escaped(text: bytes) -> bytes:
    for special in b"\\*?[]":
        text = text.replace(bytes([special]), b"\\" + bytes([special]))
    return text
