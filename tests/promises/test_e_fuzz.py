"""E1: hostile requests, and what else a server reads that others wrote."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from micromoment.client import AsyncClient
from micromoment.http.methods import METHODS
from micromoment.scoring.scorer import Scorer
from tests.fuzz.handler import a_handler, inputs
from tests.promises.conftest import Form, Reached
from tests.support.contract_calls import Caller, Outcome, calling
from tests.support.contract_limits import methods
from tests.support.front_door import a_door
from tests.support.fuzzed import Fuzz, shrunk
from tests.support.serving import an_application
from tests.support.shop_server import ShopServer, Visits, a_shop_server

COMMENTS: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "src/micromoment/http/comments.json").read_text("utf-8")
)
# Whatever a caller sends. What a method says in the contract beside it is said of what it looks up.
ALWAYS = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}
SEED = 20_260_105
REQUESTS = 10_000
WARM_UP = 6_000
# Below the 16 streams that a connection to the operators' port may have.
TOGETHER = 12
MOST_GROWTH_MB = 5.0
JSON_PIECES = (
    b"null", b"NaN", b"-Infinity", b"1e999", b"9223372036854775808", b"-0.5", b"[]", b"{}", b'""',
    b'"\\ud800"', b'"\\u0000"', b"\xff", b"{" * 200, b"[" * 200, b'{"a":' * 50, b"1" * 500,
    b'"events":', b'"@type": "type.googleapis.com/google.protobuf.Any",', b",", b"}", b"/**/",
)  # fmt: skip
INPUTS = {method.full_name: method.input_type for method in methods()}
# Users are nobody, as golden sessions have it; sessions fill their places in the warm-up.
SERVER = """
import collections, functools
from micromoment.bootstrap import make_service, serve
from micromoment.settings import load_settings
from tests.support.serving import SlowUsers

users = SlowUsers(asked=collections.deque(maxlen=1))
serve(load_settings(), functools.partial(make_service, users=users))
"""


@dataclass
class Fuzzed:
    """What came of requests: how often each status, and what should not have been."""

    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[MethodDescriptor, bytes, str]] = field(default_factory=list)


def allowed(method: MethodDescriptor) -> set[str]:
    """Give the statuses that a method's own comment in the contract names, and those of all."""
    said = " ".join(
        COMMENTS[name]
        for name in (method.full_name, "micromoment.v1.ScoringService.Score")
        if name == method.full_name or method.name in {"BatchScore", "StreamScores"}
    )
    return ALWAYS | {code.name for code in grpc.StatusCode if re.search(rf"\b{code.name}\b", said)}


def unexpected(method: MethodDescriptor, outcome: Outcome) -> str:
    """Name a status that a request must not end with, empty for none."""
    return " ".join(sorted({code.name for code in outcome.codes} - allowed(method)))


async def send(caller: Caller, fuzz: Fuzz, requests: int) -> Fuzzed:
    """Send so many requests, some at once."""
    came, numbers = Fuzzed(), iter(range(requests))

    async def send_some() -> None:
        for _ in numbers:
            method, data = fuzz.request()
            outcome = await caller.call(method, data)
            came.codes.update(code.name for code in outcome.codes)
            wrong = unexpected(method, outcome)
            if wrong:
                came.wrong.append((method, data, f"{wrong} {outcome.status.message[:80]}"))

    await asyncio.gather(*(send_some() for _ in range(TOGETHER)))
    return came


async def least(caller: Caller, came: Fuzzed) -> list[str]:
    """Tell the first few inputs that went wrong, each as small as it still goes wrong."""

    async def told(method: MethodDescriptor, data: bytes, wrong: str) -> str:
        async def fails(less: bytes) -> bool:
            return bool(unexpected(method, await caller.call(method, less)))

        small = await shrunk(data, fails) if await fails(data) else data
        return f"{method.name} {wrong}: {small.hex()}"

    return [await told(*one) for one in itertools.islice(came.wrong, 5)]


def test_e1_what_is_fuzzed_for_longer_answers_without_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make fuzz` goes on from these inputs; what nobody expects is raised."""
    seeds = inputs(SEED, 500)

    def answer_all() -> None:
        for data in seeds:
            answer(data)
            answer(bytes([data[0] | 0x80]) + data[1:])

    with a_handler() as answer:
        answer_all()
        monkeypatch.setattr(Scorer, "fold", raise_what_nobody_expects)
        monkeypatch.setattr(Scorer, "score", raise_what_nobody_expects)
        with pytest.raises(ZeroDivisionError):
            answer_all()


def raise_what_nobody_expects(*_: object, **__: object) -> None:
    """Stand for a mistake in the code."""
    raise ZeroDivisionError


async def test_e1_fuzzed_json_is_answered_or_refused(form: Form, reached: Reached) -> None:
    """The same over HTTP, with JSON that is broken as text: never a status of 500 or above."""
    fuzz, codes = Fuzz(SEED + 2), Counter[int]()
    pick = random.Random(SEED + 2)
    async with a_door(an_application(), default_deadline_s=30) as door:
        for number in range(form(1_500, 100_000)):
            way = METHODS[number % len(METHODS)]
            body = json_of(fuzz.message(INPUTS[way.full_name]))
            if pick.random() < 0.5:
                body = (broken_json(body, pick) if pick.random() < 0.7 else fuzz.broken(body))[
                    :4096
                ]
            answer = await door.post(way, body)
            codes[answer.status_code] += 1
            assert answer.status_code < 500, (SEED + 2, way.path, body)
    reached("E1", f"over HTTP {codes.total()} bodies, seed {SEED + 2}: {dict(codes.most_common())}")
    assert codes[200] > codes.total() / 20
    assert codes[400] > codes.total() / 4


def json_of(message: Message) -> bytes:
    """Write a message as JSON, without the times that JSON has no form for."""
    try:
        return json_format.MessageToJson(message, indent=None).encode()
    except json_format.Error:
        return b'{"sessionId": "s1", "asOf": "9999-99-99T99:99:99Z"}'


def broken_json(body: bytes, pick: random.Random) -> bytes:
    """Put what JSON has, and what it hasn't, in a place of another."""
    place = pick.choice([*(found.start() for found in re.finditer(rb'["\d{[]', body)), 0])
    piece = pick.choice(JSON_PIECES)
    return body[:place] + piece + body[place + pick.choice([0, 1, len(piece)]) :]


@pytest.fixture(scope="module")
def fuzzed_server(
    originals: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ShopServer]:
    """A server in a process of its own."""
    folder = tmp_path_factory.mktemp("fuzzed")
    settings = {"max_sessions": "2000", "max_wait": "5", "default_deadline": "30"}
    with a_shop_server(originals, folder, SERVER, bundle="shop:serving", **settings) as server:
        yield server


async def test_e1_fuzzed_requests_are_answered_or_refused(
    fuzzed_server: ShopServer, form: Form, reached: Reached
) -> None:
    """10,000 fuzzed requests: OK, INVALID_ARGUMENT or RESOURCE_EXHAUSTED only; RSS < +5 MB.

    And what the contract says of a method that looks something up. Afterwards the process lives and
    its answers are right to the bit.
    """
    server, requests = fuzzed_server, form(REQUESTS, 30 * REQUESTS)
    async with calling(server.address, server.admin_address) as caller:
        await send(caller, Fuzz(SEED), WARM_UP)
        before = server.rss
        came = await send(caller, Fuzz(SEED + 1), requests)
        growth = (server.rss - before) / 2**20
        assert not await least(caller, came), f"seed {SEED + 1}"
    assert server.server.process.poll() is None
    async with AsyncClient(server.address, deadline_s=30) as client:
        visits = Visits(client, server.store, "shop:serving")
        for number in range(8):
            await visits.call(number)
    assert not visits.wrong
    told = ", ".join(f"{code} {count}" for code, count in came.codes.most_common())
    reached("E1", f"{requests} requests, seed {SEED + 1}: {told}; RSS {growth:+.1f} MB")
    assert growth < MOST_GROWTH_MB
    # Without those that are taken nothing behind the checks would have been asked.
    assert came.codes["OK"] > requests / 10
    assert came.codes["INVALID_ARGUMENT"] > requests / 10
