"""The same calls from clients that are not ours, each answer told alike."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from micromoment.client.channel import OPTIONS
from tests.support.contract_limits import methods

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "examples/node"
BIN: Final = Path(sys.executable).parent
METHODS: Final = {method.name: method for method in methods()}
_DEADLINE_S: Final = 60.0
_DETAILS: Final = (ErrorInfo, BadRequest, RetryInfo)


@dataclass(frozen=True)
class Call:
    """A call of a method: its requests as protobuf's JSON, one but for a stream."""

    name: str
    requests: Sequence[dict[str, Any]]

    @property
    def method(self) -> MethodDescriptor:
        """The method in the contract."""
        return METHODS[self.name]

    @property
    def path(self) -> str:
        """Service and method, as gRPC names them."""
        return f"{self.method.containing_service.full_name}/{self.name}"

    def messages(self) -> list[Message]:
        """The requests as messages."""
        kind = GetMessageClass(self.method.input_type)
        return [json_format.ParseDict(request, kind()) for request in self.requests]

    def reply(self, written: str | bytes) -> Message:
        """Read a reply from JSON, or from its bytes."""
        reply = GetMessageClass(self.method.output_type)()
        if isinstance(written, bytes):
            reply.ParseFromString(written)
            return reply
        return json_format.Parse(written, reply)


@dataclass(frozen=True)
class Answer:
    """What a client made of a call; `reason`, `fields` and `retry_ms` are from the details."""

    status: str
    replies: Sequence[Message] = ()
    reason: str = ""
    fields: Sequence[str] = ()
    retry_ms: float = 0.0
    message: str = field(default="", compare=False)


Client = Callable[[str, Sequence[Call]], list[Answer]]


def python_client(address: str, calls: Sequence[Call]) -> list[Answer]:
    """Call by grpcio, as the project's own client connects."""
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        return [_python_call(channel, call) for call in calls]


def _python_call(channel: grpc.Channel, call: Call) -> Answer:
    # The annotations know methods whose types are known.
    way: Any = channel.stream_stream if call.method.client_streaming else channel.unary_unary
    make = way(f"/{call.path}", type(call.messages()[0]).SerializeToString, call.reply)
    try:
        if call.method.client_streaming:
            return Answer("OK", list(make(iter(call.messages()), timeout=_DEADLINE_S)))
        return Answer("OK", [make(call.messages()[0], timeout=_DEADLINE_S)])
    except grpc.RpcError as error:
        known: Any = error
        trailers = dict(known.trailing_metadata())
        return _told(Status.FromString(trailers["grpc-status-details-bin"]))


def grpcurl(image: Path, address: str, calls: Sequence[Call]) -> list[Answer]:
    """Call by grpcurl."""
    return [_grpcurl(image, address, call) for call in calls]


def _grpcurl(image: Path, address: str, call: Call) -> Answer:
    options = ["-plaintext", "-format-error", "-protoset", str(image), "-d", "@"]
    ended = _run([str(BIN / "grpcurl"), *options, address, call.path], call)
    if ended.returncode == 0:
        return Answer("OK", [call.reply(one) for one in _documents(ended.stdout)])
    return _told(json_format.Parse(ended.stderr, Status()))


def buf_curl(image: Path, address: str, calls: Sequence[Call]) -> list[Answer]:
    """Call by `buf curl`."""
    return [_buf_curl(image, address, call) for call in calls]


def _buf_curl(image: Path, address: str, call: Call) -> Answer:
    options = ["--protocol", "grpc", "--http2-prior-knowledge", "--schema", str(image), "-d", "@-"]
    ended = _run([str(BIN / "buf"), "curl", *options, f"http://{address}/{call.path}"], call)
    if ended.returncode == 0:
        return Answer("OK", [call.reply(one) for one in _documents(ended.stdout)])
    told = json.loads(ended.stderr)
    status = Status(code=grpc.StatusCode[told["code"].upper()].value[0], message=told["message"])
    for detail in told["details"]:
        packed = status.details.add()
        packed.type_url = f"type.googleapis.com/{detail['type']}"
        packed.value = base64.b64decode(detail["value"] + "==")
    return _told(status)


def node_client(address: str, calls: Sequence[Call]) -> list[Answer]:
    """Call by the example for Node.js, which rests on @grpc/grpc-js."""
    asked = json.dumps([{"name": call.name, "requests": call.requests} for call in calls])
    script = str(ROOT / "tests/support/node_calls.mjs")
    node = shutil.which("node")
    assert node is not None
    command = [node, script, str(EXAMPLE / "micromoment.js"), address]
    ended = subprocess.run(
        command, input=asked, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return [
        Answer(
            told["status"],
            [call.reply(base64.b64decode(reply)) for reply in told["replies"]],
            told["reason"],
            told["fields"],
            told["retryMs"],
        )
        for call, told in zip(calls, json.loads(ended.stdout), strict=True)
    ]


def make_image(folder: Path) -> Path:
    """Write the contract with all that it imports as one file."""
    image = folder / "contract.binpb"
    subprocess.run([BIN / "buf", "build", "-o", image], cwd=ROOT, check=True)
    return image


def install_example() -> None:
    """Install what the example needs, as its lock file says, hashes checked; nothing when it is."""
    lock = EXAMPLE / "package-lock.json"
    done = EXAMPLE / "node_modules/.package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        npm = shutil.which("npm")
        assert npm is not None
        subprocess.run([npm, "ci", "--silent"], cwd=EXAMPLE, check=True, timeout=300)


def _run(command: list[str], call: Call) -> subprocess.CompletedProcess[str]:
    asked = "\n".join(map(json.dumps, call.requests))
    return subprocess.run(
        command, input=asked, capture_output=True, text=True, timeout=_DEADLINE_S, check=False
    )


def _documents(text: str) -> list[str]:
    """Take JSON documents apart that stand one after the other."""
    decoder, found = json.JSONDecoder(), []
    text = text.strip()
    while text:
        _, end = decoder.raw_decode(text)
        found.append(text[:end])
        text = text[end:].strip()
    return found


def _told(status: Status) -> Answer:
    code = next(code.name for code in grpc.StatusCode if code.value[0] == status.code)
    info, bad, retry = (kind() for kind in _DETAILS)
    for detail in status.details:
        for one in (info, bad, retry):
            detail.Unpack(one)
    fields = [violation.field for violation in bad.field_violations]
    return Answer(code, (), info.reason, fields, retry.retry_delay.ToMilliseconds(), status.message)
