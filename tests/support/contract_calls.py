"""Calls of any method of the contract by its descriptor, and what came of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

_DETAILS_KEY: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Outcome:
    """What a call ended with; `inner` are the statuses of single items in its replies."""

    code: grpc.StatusCode
    status: Status
    replies: Sequence[Message] = ()
    inner: Sequence[Status] = field(default=())

    @property
    def codes(self) -> list[grpc.StatusCode]:
        """The call's own code, then those of its items."""
        return [self.code, *(_CODES[status.code] for status in self.inner)]

    @property
    def statuses(self) -> list[Status]:
        """The call's own status, then those of its items."""
        return [self.status, *self.inner]

    @property
    def paths(self) -> list[str]:
        """The paths of all fields that were refused."""
        return [one.field for status in self.statuses for one in violations(status)]


class Caller:
    """Calls methods at one of the ports, whichever has them."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._channels = channels
        self._known: dict[str, grpc.aio.Channel] = {}

    async def call(
        self, method: MethodDescriptor, request: bytes, *, deadline_s: float = 30.0
    ) -> Outcome:
        """Send the bytes of one request."""
        name = f"/{method.containing_service.full_name}/{method.name}"
        known = self._known.get(name)
        if known is not None:
            return await _call(known, name, method, request, deadline_s)
        for channel in self._channels:
            outcome = await _call(channel, name, method, request, deadline_s)
            if outcome.code is not grpc.StatusCode.UNIMPLEMENTED:
                self._known[name] = channel
                return outcome
        raise AssertionError(f"no port has {name}")


@asynccontextmanager
async def calling(*addresses: str) -> AsyncIterator[Caller]:
    """Open a connection to each address while the body runs."""
    # Retries stay on: without a policy they are those alone of calls that a server never took, such
    # as the 17th of a connection to the operators' port.
    options = (("grpc.max_receive_message_length", 16 * 2**20),)
    channels = [grpc.aio.insecure_channel(address, options=options) for address in addresses]
    try:
        yield Caller(channels)
    finally:
        for channel in channels:
            await channel.close(None)


def violations(status: Status) -> Iterator[BadRequest.FieldViolation]:
    """Give the fields that a status says are refused."""
    for detail in status.details:
        bad_request = BadRequest()
        if detail.Unpack(bad_request):
            yield from bad_request.field_violations


async def _call(
    channel: grpc.aio.Channel,
    name: str,
    method: MethodDescriptor,
    request: bytes,
    deadline_s: float,
) -> Outcome:
    replies: list[Message] = []
    # The annotations know methods whose types are known.
    way: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    if method.client_streaming:
        way = channel.stream_stream
    make = way(name, bytes, GetMessageClass(method.output_type).FromString)
    try:
        if method.client_streaming:
            call = make(_one(request), timeout=deadline_s)
            replies.extend([reply async for reply in call])
        elif method.server_streaming:
            replies.extend([reply async for reply in make(request, timeout=deadline_s)])
        else:
            replies.append(await make(request, timeout=deadline_s))
    except grpc.aio.AioRpcError as error:
        return Outcome(error.code(), _told(error), replies, inner_statuses(replies))
    return Outcome(grpc.StatusCode.OK, Status(), replies, inner_statuses(replies))


async def _one(request: bytes) -> AsyncIterator[bytes]:
    yield request


def _told(error: grpc.aio.AioRpcError) -> Status:
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == _DETAILS_KEY:
            return Status.FromString(value)
    return Status(code=error.code().value[0], message=error.details() or "")


def inner_statuses(messages: Sequence[Message]) -> list[Status]:
    """Find each `google.rpc.Status` in replies."""
    found: list[Status] = []
    for message in messages:
        for one, value in message.ListFields():
            if one.message_type is None or one.message_type.GetOptions().map_entry:
                continue
            values = list(value) if one.is_repeated else [value]
            if one.message_type.full_name == Status.DESCRIPTOR.full_name:
                found += values
            else:
                found += inner_statuses(values)
    return found
