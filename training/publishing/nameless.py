"""Golden sessions without ids of people: a bundle goes to places where no visitor's id belongs."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.arrow_codec import masked_texts
from micromoment.events.masking import MASKED_COLUMNS

# Who has one id in either column must keep it in both: a visitor is known by it.
_PEOPLE: Final = ("anonymous_id", "user_id")


def nameless(events: pa.Table, users: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Number the sessions, events, people and orders of golden sessions, and drop attributes.

    `events` has `EVENT_SCHEMA`, `users` a `session_id` for each session. Ids that were equal are
    equal afterwards, and no feature depends on more: the answers stay the same to the bit, unless a
    text holds an e-mail address, which is masked. Doing it again changes nothing.
    """
    sessions = _numbers([events["session_id"]], "session")
    people = _numbers([events[name] for name in _PEOPLE], "person")
    renamed = {
        "session_id": _renamed(events["session_id"], sessions),
        "event_id": _renamed(events["event_id"], _numbers([events["event_id"]], "event")),
        **{name: _renamed(events[name], people) for name in _PEOPLE},
        **{name: masked_texts(events[name]) for name in MASKED_COLUMNS},
        "order_id": _renamed(events["order_id"], _numbers([events["order_id"]], "order")),
        "attributes": pa.nulls(len(events), events.schema.field("attributes").type),
    }
    for name, column in renamed.items():
        place = events.schema.get_field_index(name)
        events = events.set_column(place, events.schema.field(name), column)
    place = users.schema.get_field_index("session_id")
    named = _renamed(users["session_id"], sessions)
    return (
        # Other metadata could say where they come from.
        events.replace_schema_metadata(None),
        users.set_column(place, users.schema.field(place), named),
    )


def _numbers(columns: list[pa.ChunkedArray], kind: str) -> dict[str, str]:
    known: dict[str, str] = {}
    for column in columns:
        for one in pc.unique(column).to_pylist():
            if one and one not in known:
                known[one] = f"{kind}-{len(known) + 1}"
    return known


def _renamed(column: pa.ChunkedArray, names: dict[str, str]) -> pa.Array:
    encoded = pc.dictionary_encode(column.combine_chunks())
    words = [names.get(word, word) for word in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(
        encoded.indices, pa.array(words, pa.string())
    ).dictionary_decode()
