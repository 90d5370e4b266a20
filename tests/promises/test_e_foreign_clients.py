"""E5: the same calls from clients of other languages, and a contract that does not break."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import google.rpc
import grpc
import pytest
from google.protobuf.message import Message

from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import (
    ScoringServiceServicer,
    ScoringServiceStub,
    add_ScoringServiceServicer_to_server,
)
from tests.promises.conftest import Reached
from tests.support.foreign_clients import (
    EXAMPLE,
    ROOT,
    Answer,
    Call,
    Client,
    buf_curl,
    grpcurl,
    install_example,
    make_image,
    node_client,
    python_client,
)
from tests.support.server_process import servers

CLIENTS = ("python", "grpcurl", "buf curl", "node")
# New with every answer.
OF_THE_ANSWER = {"score_id", "session_id", "request_id"}


def an_event(number: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Write a page view, or what the fields say, as protobuf's JSON."""
    known = {
        "eventId": f"e{number}",
        "type": "EVENT_TYPE_PAGE_VIEW",
        "eventTime": f"2026-01-05T10:00:{number:02}.250Z",
    }
    return known | fields


CART = [{"itemId": "sku-1", "categoryPath": ["shoes", "sneakers"], "priceMicros": "19990000"}]


def the_calls(client: str) -> list[Call]:
    """Give the same calls for each client, about sessions of its own."""
    session = {"sessionId": f"visit of {client}", "anonymousId": "browser-1"}
    other = {"sessionId": f"another of {client}", "userId": "user-1"}
    first = [
        an_event(1, page={"pageId": "/", "type": "PAGE_TYPE_HOME"}, device="DEVICE_TYPE_MOBILE"),
        an_event(2, type="EVENT_TYPE_ITEM_VIEW", items=CART, searchTermsHash=str(2**64 - 1)),
        an_event(3, type="EVENT_TYPE_CART_ADD", items=CART, attributes={"größe": "42"}),
    ]
    told = {**session, "events": [an_event(4, scrollPercent=99.5)], "dryRun": True, "explain": True}
    refused = an_event(5, items=[{"itemId": "sku-1", "quantity": 0}], utcOffsetMinutes=841)
    return [
        Call("Score", [{**session, "events": first, "includeFeatures": True}]),
        Call("Score", [session]),
        Call("Score", [told]),
        Call(
            "BatchScore", [{"requests": [{**other, "events": first}, {"sessionId": ""}, session]}]
        ),
        Call("GetSession", [{"sessionId": session["sessionId"], "explain": True}]),
        Call("Ingest", [{**session, "events": [an_event(3), an_event(6), refused, an_event(6)]}]),
        Call("Score", [{**session, "events": [refused]}]),
        Call("GetSession", [{"sessionId": f"unknown to {client}"}]),
        Call(
            "StreamScores",
            [
                {"requestId": "1", "request": {**session, "events": [an_event(7)]}},
                {"requestId": "2", "request": {**session, "asOf": "1999-01-01T00:00:00Z"}},
            ],
        ),
    ]


EXPECTED = ["OK"] * 6 + ["INVALID_ARGUMENT", "NOT_FOUND", "OK"]


@pytest.fixture(scope="module")
def address(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that takes one stream at a time."""
    with servers(store, tmp_path_factory.mktemp("foreign")) as start:
        yield f"127.0.0.1:{start(max_streams='1').await_event('serving')['port']}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contract as a file."""
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.fixture
def client(request: pytest.FixtureRequest, image: Path) -> Client:
    """The client of a name."""
    if request.param == "node":
        if shutil.which("node") is None or shutil.which("npm") is None:
            pytest.skip("node and npm are not installed: the packages nodejs and npm have them")
        install_example()
        return node_client
    known: dict[str, Client] = {
        "python": python_client,
        "grpcurl": partial(grpcurl, image),
        "buf curl": partial(buf_curl, image),
    }
    return known[request.param]


@contextmanager
def a_stream(address: str) -> Iterator[None]:
    """Hold a stream open while the body runs."""
    ends = threading.Event()

    def requests() -> Iterator[pb.StreamScoresRequest]:
        yield pb.StreamScoresRequest(request_id="1")
        ends.wait(60)

    with grpc.insecure_channel(address) as channel:
        answers: Any = ScoringServiceStub(channel).StreamScores(requests())
        next(answers)  # it is open
        try:
            yield
        finally:
            ends.set()
            list(answers)


def alike(answer: Answer) -> tuple[object, ...]:
    """Give all that must be the same, to the bit."""
    replies = [_without(reply).SerializeToString(deterministic=True) for reply in answer.replies]
    return answer.status, answer.reason, tuple(answer.fields), answer.retry_ms, replies


def _without(message: Message) -> Message:
    """Leave out of a reply what is new with each, here and in what it holds."""
    for field, value in message.ListFields():
        if field.name in OF_THE_ANSWER:
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else [value]:
                _without(one)
    return message


@pytest.fixture(scope="module")
def by_python(address: str) -> Sequence[Answer]:
    """What the Python client is answered."""
    return python_client(address, the_calls("python, first"))


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_e5_every_client_gets_the_same_answers(
    client: Client, request: pytest.FixtureRequest, address: str, by_python: Sequence[Answer],
    reached: Reached,
) -> None:  # fmt: skip
    """The same calls give the same values and statuses from every client, details included."""
    name = request.node.callspec.params["client"]
    calls = the_calls(name)
    answers = client(address, calls)
    assert [answer.status for answer in answers] == EXPECTED
    for call, answer, expected in zip(calls, answers, by_python, strict=True):
        assert alike(answer) == alike(expected), call.name
    replies = sum(len(answer.replies) for answer in answers)
    reached("E5", f"{name}: {len(calls)} calls, {replies} replies and 2 errors equal to the bit")


def test_e5_the_calls_say_what_they_are_made_for(by_python: Sequence[Answer]) -> None:
    """What the others are compared with: scores, reasons, a duplicate, paths."""
    scored, again, told, _, session, ingested, refused, unknown, stream = by_python
    assert len(scored.replies[0].feature_vector.values) > 100  # type: ignore[attr-defined]
    assert again.replies[0].events_seen == 3  # type: ignore[attr-defined]
    assert told.replies[0].events_seen == 4  # type: ignore[attr-defined]
    assert told.replies[0].reasons  # type: ignore[attr-defined]
    assert session.replies[0].state.cart_value_micros == 19_990_000  # type: ignore[attr-defined]
    reply: Any = ingested.replies[0]
    assert (reply.accepted, reply.duplicates, [one.index for one in reply.errors]) == (1, 2, [2])
    assert (refused.reason, refused.fields) == (
        "INVALID_REQUEST",
        ["events[0].items[0].quantity", "events[0].utc_offset_minutes"],
    )
    assert unknown.reason == "SESSION_NOT_FOUND"
    outcomes: Any = stream.replies
    assert [one.WhichOneof("outcome") for one in outcomes] == ["response", "status"]


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_e5_every_client_reads_when_to_come_back(client: Client, address: str) -> None:
    """RESOURCE_EXHAUSTED comes with RetryInfo: here to a second stream where one is allowed."""
    with a_stream(address):
        (answer,) = client(address, the_calls("the second")[-1:])
    assert (answer.status, answer.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS")
    assert answer.retry_ms == 100


def test_e5_the_example_scores_a_visit(address: str) -> None:
    """`npm start` prints a visit's score and why; without a server it says that there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed: the packages nodejs and npm have them")
    install_example()

    def start(where: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"MICROMOMENT_ADDRESS": where}
        command = ["node", "visit.js", "visit-1"]
        return subprocess.run(
            command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False
        )

    scored = start(address)
    assert re.match(r"visit visit-1: 2 events, conversion 0\.\d+\n  \w", scored.stdout), scored
    none = start("127.0.0.1:1")
    assert (none.returncode, none.stdout) == (1, "")
    assert re.match("no score: (UNAVAILABLE|DEADLINE_EXCEEDED)", none.stderr), none


class Trusting(ScoringServiceServicer):
    """Answers Score and remembers what came as authorization."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def Score(  # noqa: N802 - the contract's name
        self, request: pb.ScoreRequest, context: grpc.ServicerContext
    ) -> pb.ScoreResponse:
        """Answer."""
        self.tokens.append(str(dict(context.invocation_metadata()).get("authorization")))
        if self.tokens[-1] == "Bearer 0ld":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a valid token is needed")
        return pb.ScoreResponse(session_id=request.session_id, conversion=0.5, events_seen=2)


def test_e5_the_example_sends_its_token_over_tls_alone(tmp_path: Path) -> None:
    """With the authority's file it does; it trusts no other, and needs one for a token."""
    openssl = shutil.which("openssl")
    if openssl is None or shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("openssl, node or npm is not installed: the packages openssl, nodejs and npm")
    install_example()
    for name in ("own", "other"):
        make = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", "/CN=localhost"]
        names = ["-days", "2", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run(
            [openssl, *make, *files, *names], cwd=tmp_path, check=True, capture_output=True
        )
    servicer = Trusting()  # type: ignore[abstract] # the other calls are UNIMPLEMENTED
    server = grpc.server(ThreadPoolExecutor(2))
    add_ScoringServiceServicer_to_server(servicer, server)
    pair = ((tmp_path / "own.key").read_bytes(), (tmp_path / "own.crt").read_bytes())
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
    server.start()

    def start(**settings: str) -> subprocess.CompletedProcess[str]:
        known = {"MICROMOMENT_ADDRESS": f"localhost:{port}", "MICROMOMENT_TOKEN": "t0ken"}
        environment = os.environ | known | settings
        command = ["node", "visit.js", "visit-1"]
        return subprocess.run(
            command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False
        )

    try:
        scored = start(MICROMOMENT_CA=str(tmp_path / "own.crt"))
        assert scored.stdout == "visit visit-1: 2 events, conversion 0.5\n", scored.stderr
        assert servicer.tokens == ["Bearer t0ken"]
        distrusted = start(MICROMOMENT_CA=str(tmp_path / "other.crt"))
        assert (distrusted.returncode, distrusted.stdout) == (1, "")
        in_the_clear = start()
        assert in_the_clear.returncode != 0
        assert "MICROMOMENT_TOKEN needs MICROMOMENT_CA" in in_the_clear.stderr
        assert servicer.tokens == ["Bearer t0ken"]
        (tmp_path / "token").write_text("of-a-file\n")
        of_file = {"MICROMOMENT_TOKEN": "", "MICROMOMENT_TOKEN_FILE": str(tmp_path / "token")}
        scored = start(MICROMOMENT_CA=str(tmp_path / "own.crt"), **of_file)
        assert (scored.returncode, servicer.tokens[1:]) == (0, ["Bearer of-a-file"])
        assert "TOKEN needs MICROMOMENT_CA" in start(**of_file).stderr
        old = start(MICROMOMENT_CA=str(tmp_path / "own.crt"), MICROMOMENT_TOKEN="0ld")
        assert old.stderr == "no score: UNAUTHENTICATED: a valid token is needed\n"
        for variable in ("MICROMOMENT_CA", "MICROMOMENT_TOKEN_FILE"):
            absent = start(**{"MICROMOMENT_TOKEN": "", variable: str(tmp_path / "absent")})
            told = f"no score: {variable}: {tmp_path / 'absent'} can't be read: ENOENT\n"
            assert (absent.returncode, absent.stderr) == (1, told)
    finally:
        server.stop(None)


def test_e5_the_lock_file_says_hashes_and_no_registry() -> None:
    """`npm ci` checks every package; none is bound to where the lock file was made."""
    lock = json.loads((EXAMPLE / "package-lock.json").read_text("utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert len(packages) > 20
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert not any("resolved" in one for one in packages.values())
    assert "http" not in (EXAMPLE / "package-lock.json").read_text("utf-8").replace(
        "https://github.com/", ""
    ).replace("https://opencollective.com/", "")


def test_e5_the_examples_protos_are_those_of_googleapis() -> None:
    """What the contract imports is as the locked package has it."""
    (installed,) = google.rpc.__path__
    for name in ("status.proto", "error_details.proto"):
        ours = (EXAMPLE / "protos/google/rpc" / name).read_bytes()
        assert ours == (Path(installed) / name).read_bytes()


BREAKS = {
    "a number": ("string brand = 3;", "string brand = 30;"),
    "a type": ("optional int32 quantity = 5;", "optional int64 quantity = 5;"),
    "a name": ("string order_id = 6;", "string order_number = 6;"),
    "a value": ("EVENT_TYPE_OTHER = 48;", "EVENT_TYPE_OTHER = 49;"),
}


def buf(*arguments: str, where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run buf in a folder."""
    command = [str(ROOT / ".venv/bin/buf"), *arguments]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)


def test_e5_the_contract_lints_and_breaks_no_caller() -> None:
    """Buf lint finds 0, and `buf breaking` 0 against the contract as released."""
    for arguments in (("lint",), ("breaking", "--against", "tests/contract/released.txtpb")):
        ended = buf(*arguments)
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout + ended.stderr


@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_e5_a_contract_that_breaks_callers_is_noticed(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    """Another number, type, name or value is not 0."""
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    site = Path(".venv/lib/python3.11/site-packages/google")
    shutil.copytree(ROOT / site / "rpc", tmp_path / site / "rpc")
    shutil.copytree(ROOT / site / "type", tmp_path / site / "type")
    shutil.copytree(ROOT / site / "api", tmp_path / site / "api")
    events = tmp_path / "protos/micromoment/v1/events.proto"
    text = events.read_text("utf-8")
    assert change[0] in text
    events.write_text(text.replace(*change), "utf-8")
    ended = buf(
        "breaking", "--against", str(ROOT / "tests/contract/released.txtpb"), where=tmp_path
    )
    assert ended.returncode == 100, ended.stderr
