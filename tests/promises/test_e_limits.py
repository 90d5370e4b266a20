"""E2: the limits of the contract, each at its last value and at the next one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.rpc.status_pb2 import Status

from micromoment.http.methods import METHODS
from micromoment.transport.server import MAX_REQUEST_BYTES
from tests.promises.conftest import Reached
from tests.support.contract_calls import Caller, Outcome, calling, inner_statuses, violations
from tests.support.contract_limits import (
    PACKAGE,
    RULES,
    TABLE,
    Case,
    cases,
    limits_of,
    methods,
    plain,
    put,
    request_messages,
    short_name,
)
from tests.support.front_door import a_door
from tests.support.serving import an_application
from tests.support.shop_server import ShopServer

COMMENTS: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "src/micromoment/http/comments.json").read_text("utf-8")
)
# A session, a bundle or a log that isn't there is no breach of a limit, nor is an activation that
# comes while another one is under way.
TAKEN = {"OK", "NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"}
# Items that are judged one by one are told in their own status, by their path from there.
JUDGED_APART = ("requests[0].", "request.")
TOGETHER = 16


def judged(case: Case, codes: Sequence[grpc.StatusCode], paths: Sequence[str]) -> str:
    """Say what is wrong with the outcome of a case; empty for nothing."""
    names = {code.name for code in codes}
    path = case.path
    for prefix in JUDGED_APART:
        path = path.removeprefix(prefix)
    if case.is_allowed:
        return "" if names <= TAKEN and not paths else f"{case}: {names} {paths}"
    refused = "INVALID_ARGUMENT" in names and names <= {"OK", "INVALID_ARGUMENT"}
    return "" if refused and list(paths) == [path] else f"{case}: {names} {paths}"


async def wrong_over_grpc(caller: Caller, asked: Sequence[Case]) -> list[str]:
    """Give what a server did otherwise than the contract says."""
    room = asyncio.Semaphore(TOGETHER)

    async def ask(case: Case) -> str:
        async with room:
            outcome = await caller.call(case.method, case.request.SerializeToString())
        return judged(case, outcome.codes, outcome.paths)

    return [wrong for wrong in await asyncio.gather(*map(ask, asked)) if wrong]


def both_ways(server: ShopServer) -> tuple[str, str]:
    """Give the addresses of calls and of operators."""
    return server.address, server.admin_address


async def test_e2_every_limit_of_every_message_is_exact(
    models: ShopServer, reached: Reached
) -> None:
    """Limits are in the contract and exact: the last value is OK, the next INVALID_ARGUMENT.

    Asked of a real server with every field of every request. The refusal names the field's path;
    that it never names the value is asserted below.
    """
    asked = [case for method in methods() for case in cases(method)]
    async with calling(*both_ways(models)) as caller:
        wrong = await wrong_over_grpc(caller, asked)
    assert not wrong
    fields = {(case.method.name, case.path) for case in asked}
    refused = sum(not case.is_allowed for case in asked)
    reached(
        "E2",
        f"{len(fields)} fields of {len(list(methods()))} methods: {len(asked) - refused} values at "
        f"a limit taken, {refused} beyond one refused by path",
    )


async def test_e2_every_limit_holds_over_http() -> None:
    """The same over HTTP, but for times that JSON can't write."""
    over_http = {(method.service, method.name): method for method in METHODS}
    wrong: list[str] = []
    async with a_door(an_application()) as door:
        for method in methods():
            way = over_http.get((method.containing_service.full_name, method.name))
            for case in cases(method) if way else ():
                assert way is not None
                try:
                    body = json_format.MessageToJson(case.request)
                except json_format.Error:
                    assert not case.is_allowed
                    continue
                answer = await door.post(way, body)
                status = Status()
                inner: list[Status] = []
                if answer.status_code == httpx.codes.OK:
                    inner = inner_statuses([json_format.Parse(answer.text, way.reply())])
                else:
                    json_format.Parse(answer.text, status)
                outcome = Outcome(_code(status), status, (), inner)
                wrong.append(judged(case, outcome.codes, outcome.paths))
    assert not [one for one in wrong if one]
    assert len(wrong) > 100


def _code(status: Status) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == status.code)


async def test_e2_a_request_takes_256_kib(models: ShopServer) -> None:
    """262,144 bytes are judged by their fields, one more is RESOURCE_EXHAUSTED, in every method."""
    async with calling(*both_ways(models)) as caller:
        for method in methods():
            whole = plain(method.input_type).SerializeToString()
            # An unknown field fills it up: it is skipped.
            sizes = {}
            for size in (MAX_REQUEST_BYTES, MAX_REQUEST_BYTES + 1):
                outcome = await caller.call(method, filled_up(whole, size))
                sizes[size] = outcome.code.name
            assert sizes[MAX_REQUEST_BYTES] in TAKEN, method.name
            assert sizes[MAX_REQUEST_BYTES + 1] == "RESOURCE_EXHAUSTED", method.name


def filled_up(message: bytes, size: int) -> bytes:
    """Add an unknown field of bytes, so that a message has `size` bytes."""
    head = b"\xfa\x3f"  # number 1023, bytes
    rest = size - len(message) - len(head) - 3
    length = bytes([rest & 0x7F | 0x80, rest >> 7 & 0x7F | 0x80, rest >> 14])
    return message + head + length + bytes(rest)


async def test_e2_a_refusal_never_names_the_value(models: ShopServer) -> None:
    """What a server says of a text that is too long, or of no form, does not hold the text."""
    secret = "s3cr3t"  # pragma: allowlist secret - made up
    told: list[Outcome] = []
    async with calling(*both_ways(models)) as caller:
        for method in methods():
            for field in method.input_type.fields:
                if field.type == field.TYPE_STRING:
                    request = plain(method.input_type)
                    put(request, field, secret * 50)
                    told.append(await caller.call(method, request.SerializeToString()))
            request = plain(method.input_type)
            told.append(await caller.call(method, request.SerializeToString() + secret.encode()))
    assert len(told) > 15
    assert all(any(True for _ in outcome.statuses) for outcome in told)
    assert secret not in "".join(str(status) for one in told for status in one.statuses)
    assert sum(1 for one in told for status in one.statuses for _ in violations(status)) > 8


def test_e2_every_message_that_a_caller_can_send_has_rules() -> None:
    """A new message, field or method without a rule fails here, in every service."""
    rules = {name: rules.field_names for name, rules in RULES.items()}
    contract = {
        message.full_name: frozenset(field.name for field in message.fields)
        for message in request_messages()
    }
    assert rules == contract


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: method.name)
def test_e2_every_field_has_limits(method: MethodDescriptor) -> None:
    """A field whose type says no limit must be in the table; none in it is of the past."""
    assert [str(case) for case in cases(method)]
    assert TABLE.keys() <= {
        short_name(field) for message in request_messages() for field in message.fields
    }


def test_e2_the_limits_are_in_the_contracts_comments() -> None:
    """Each number is said where the field is, that it is required, too, and a request's size."""
    unsaid = []
    for message in request_messages():
        for field in message.fields:
            comment = COMMENTS[field.full_name]
            limits = limits_of(field)
            wanted = list(limits.said) if limits else []
            if field.name in RULES[message.full_name].required and "1 to" not in comment:
                wanted.append("equired")
            unsaid += [f"{short_name(field)}: {words}" for words in wanted if words not in comment]
    assert not unsaid
    for service in {method.containing_service for method in methods()}:
        assert "256 KiB" in COMMENTS[service.full_name], service.name.removeprefix(PACKAGE)
