"""Canaries: ids, addresses and tokens that are sent everywhere and must be found nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pyarrow.parquet as pq
from google.protobuf import json_format
from google.protobuf.message import Message
from redis import Redis

from micromoment.client import event
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.events_pb2_grpc import EventServiceStub
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub

MAIL: Final = "canary-mail@shoppers.example"
USER: Final = "canary-mail@shoppers.example"
BROWSER: Final = "canary-browser"
SESSION: Final = "canary-session"
TOKEN: Final = "canary-token"
AGENT: Final = "canary-agent"
_COMMON: Final = b"canary-"
_DEADLINE_S: Final = 30.0
_METADATA: Final = (("authorization", f"Bearer {TOKEN}"), (f"x-{TOKEN}", TOKEN))
_TOO_LONG: Final = 257


def is_loose(held: bytes) -> bool:
    """Tell whether any canary is in what was held, also as hexadecimal digits or as UTF-16."""
    lower = held.lower()
    forms = (_COMMON, _COMMON.hex().encode(), _COMMON.decode().encode("utf-16-le"))
    return any(form in lower for form in forms)


def a_visit(session: str, number: int) -> pb.ScoreRequest:
    """Make a request with canaries in all ids of people and in texts."""
    one = event(
        "page_view" if number % 3 else "purchase",
        event_id=f"event-{session.rpartition('-')[2]}-{number}",
        page=f"/account/{MAIL}/orders",
        page_title=f"Hello {MAIL}",
        order_id=f"{MAIL}-{number}",
        campaign=MAIL,
        source=MAIL.replace("@", "%40"),
        attributes={"mail": MAIL, MAIL: "key"},
    )
    return pb.ScoreRequest(
        session_id=session,
        user_id=USER if number > 1 else "",
        anonymous_id=BROWSER,
        events=[one],
        explain=True,
        include_features=True,
    )


def _broken(session: str) -> Iterator[pb.ScoreRequest]:
    """Make requests that break the contract, each in another place, with canaries in that place."""
    for name in ("session_id", "user_id", "anonymous_id"):
        request = a_visit(session, 2)
        setattr(request, name, (MAIL * 20)[:_TOO_LONG])
        yield request
    for name in ("event_id", "order_id", "locale"):
        request = a_visit(session, 2)
        setattr(request.events[0], name, (MAIL * 20)[:_TOO_LONG])
        yield request
    request = a_visit(session, 2)
    request.events[0].page.page_id = (MAIL * 20)[:_TOO_LONG]
    yield request
    request = a_visit(session, 2)
    request.events[0].attributes[(MAIL * 20)[:_TOO_LONG]] = MAIL
    yield request
    request = a_visit(session, 2)
    request.events[0].currency = MAIL
    yield request
    request = a_visit(session, 2)
    request.events[0].value_micros = -1
    yield request
    request = a_visit(session, 2)
    request.session_id = ""
    yield request


@dataclass
class Told:
    """What a server told: statuses, details, metadata; not the replies to whom they concern."""

    parts: list[bytes] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)

    def take_call(self, call: Any) -> None:  # noqa: ANN401 - a call or an error, which is one, too
        """Take what a call says beside its reply."""
        self.codes.add(call.code().name)
        self.parts.append(str(call.details()).encode())
        for metadata in (call.initial_metadata(), call.trailing_metadata()):
            for key, value in metadata or ():
                self.parts.append(key.encode())
                self.parts.append(value if isinstance(value, bytes) else value.encode())

    def take_status(self, status: Message) -> None:
        """Take a status that stands in a reply."""
        self.parts.append(status.SerializeToString())

    def loose(self) -> list[bytes]:
        """Give what has a canary in it."""
        return [part for part in self.parts if is_loose(part)]


def plant(address: str, sessions: Iterable[str], told: Told) -> None:
    """Send canaries by every method of the services, in valid, invalid and undecodable requests."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.primary_user_agent", AGENT)]
    with grpc.insecure_channel(address, options=options) as channel:
        scoring, events = ScoringServiceStub(channel), EventServiceStub(channel)
        any_method: Any = channel.unary_unary

        def ask(method: Any, request: Any) -> Any:  # noqa: ANN401 - any of them
            try:
                reply, call = method.with_call(request, timeout=_DEADLINE_S, metadata=_METADATA)
            except grpc.RpcError as error:
                told.take_call(error)
                return None
            told.take_call(call)
            return reply

        for session in sessions:
            for number in range(4):
                ask(scoring.Score, a_visit(session, number))
            _ingest(events, session, ask, told)
            _batch(scoring, session, ask, told)
            _stream(scoring, session, told)
            for wanted in (session, f"{SESSION}-nobody", (MAIL * 20)[:_TOO_LONG]):
                ask(scoring.GetSession, pb.GetSessionRequest(session_id=wanted, explain=True))
            for broken in _broken(session):
                ask(scoring.Score, broken)
            for path in ("ScoringService/Score", "ScoringService/Nothing", f"{TOKEN}/{TOKEN}"):
                raw = any_method(f"/micromoment.v1.{path}")
                ask(raw, b"\x0a\xff\xff\xff\xff\x0f" + MAIL.encode())
            ask(
                any_method("/micromoment.v1.ScoringService/Score"),
                b"\x0a\x02\xff\xfe" + MAIL.encode(),
            )


def _ingest(events: EventServiceStub, session: str, ask: Any, told: Told) -> None:  # noqa: ANN401
    visit = a_visit(session, 5)
    inside = events_pb2.IngestRequest(
        session_id=session, user_id=USER, anonymous_id=BROWSER, events=visit.events
    )
    ask(events.Ingest, inside)
    order = a_visit(session, 6).events[0]
    outside = events_pb2.IngestRequest(user_id=USER, anonymous_id=BROWSER, events=[order])
    ask(events.Ingest, outside)
    # A part of it is refused, each event with a status of its own.
    bad = events_pb2.Event(event_id=(MAIL * 20)[:_TOO_LONG], currency=MAIL)
    reply = ask(events.Ingest, events_pb2.IngestRequest(user_id=USER, events=[order, bad]))
    for error in reply.errors if reply is not None else ():
        told.take_status(error.status)
    ask(events.Ingest, events_pb2.IngestRequest(user_id=(MAIL * 20)[:_TOO_LONG], events=[order]))


def _batch(scoring: ScoringServiceStub, session: str, ask: Any, told: Told) -> None:  # noqa: ANN401
    requests = [a_visit(session, 7), *_broken(session)]
    reply = ask(scoring.BatchScore, pb.BatchScoreRequest(requests=requests))
    for result in reply.results if reply is not None else ():
        told.take_status(result.status)


def _stream(scoring: ScoringServiceStub, session: str, told: Told) -> None:
    requests = [
        pb.StreamScoresRequest(request_id=f"{TOKEN}-{place}", request=request)
        for place, request in enumerate([a_visit(session, 8), *_broken(session)])
    ]
    call = scoring.StreamScores(iter(requests), timeout=_DEADLINE_S, metadata=_METADATA)
    try:
        for reply in call:
            told.take_status(reply.status)
    except grpc.RpcError as error:
        told.take_call(error)
        return
    told.take_call(call)


def plant_over_http(address: str, session: str, told: Told) -> None:
    """Send canaries to the front door, in headers, paths, valid, invalid and broken bodies."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}",
               "user-agent": AGENT, "x-request-id": TOKEN}  # fmt: skip
    bodies: list[str] = [json_format.MessageToJson(one) for one in _broken(session)]
    bodies += [json.dumps({"session_id": session, MAIL: MAIL}), f'{{"session_id": "{MAIL}', MAIL]
    with httpx.Client(
        base_url=f"http://{address}", headers=headers, timeout=_DEADLINE_S, trust_env=False
    ) as client:
        valid = client.post("/v1/score", content=json_format.MessageToJson(a_visit(session, 1)))
        told.codes.add(f"HTTP {valid.status_code}")
        for body in bodies:
            _take_answer(client.post("/v1/score", content=body), told)
        _take_answer(client.get("/v1/sessions/nothing", params={"token": TOKEN}), told)


def _take_answer(answer: httpx.Response, told: Told) -> None:
    told.codes.add(f"HTTP {answer.status_code}")
    told.parts.append(answer.content)
    told.parts += [f"{key}: {value}".encode() for key, value in answer.headers.items()]


def held_by(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give all that files of a folder hold: names, bytes, and what Parquet files read as."""
    for path in sorted(folder.rglob("*")):
        yield f"name of {path}", path.relative_to(folder).as_posix().encode()
        if path.is_file():
            yield str(path), path.read_bytes()
            if path.suffix == ".parquet":
                yield f"rows of {path}", str(pq.read_table(path).to_pydict()).encode()


def held_by_redis(redis: Redis) -> Iterator[tuple[str, bytes]]:
    """Give all keys and values of a Redis."""
    client: Any = redis  # whose annotations are those of the asynchronous one as well
    for key in client.scan_iter():
        name = key.decode(errors="replace")
        yield f"key {name}", key
        kind = client.type(key)
        if kind == b"string":
            yield f"value of {name}", client.get(key) or b""
        elif kind == b"stream":
            for entry in client.xrange(key):
                yield (
                    f"entry of {name}",
                    b"\0".join(part for pair in entry[1].items() for part in pair),
                )
        elif kind == b"hash":
            yield (
                f"fields of {name}",
                b"\0".join(part for pair in client.hgetall(key).items() for part in pair),
            )
        elif kind == b"set":
            yield f"members of {name}", b"\0".join(client.smembers(key))
        elif kind == b"zset":
            yield f"members of {name}", b"\0".join(client.zrange(key, 0, -1))
        else:
            raise AssertionError(f"{name} is of type {kind!r}: nothing searches it")
