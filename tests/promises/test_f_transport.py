"""Part F: who is talked to, and over what."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from micromoment import health
from micromoment.client import AccessOptions, Client
from tests.promises.conftest import Form, Reached
from tests.support.certificates import (
    GRPC,
    HTTP,
    Files,
    Issued,
    authority,
    client_context,
    exchange,
    exchange_session,
    files_in,
    issued,
)
from tests.support.recovery import an_event
from tests.support.restarts import scrape
from tests.support.server_process import Server, Start

SERVE_HTTP = ("-m", "micromoment", "serve-http")
RELOAD_S = 15.0
_NO_CONNECTION = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@dataclass
class Tls:
    """The issuer of all that are believed, a client's certificate, and the server's files."""

    files: Files
    ca: Issued
    server: Issued
    client: Issued

    def options(
        self, folder: Path, ca: Issued | None = None, client: Issued | None = None
    ) -> AccessOptions:
        """Give a client's options, by default the right ones."""
        one = client or self.client
        paths = {name: folder / f"{name}-{one.serial}" for name in ("ca", "certificate", "key")}
        for name, pem in (("ca", (ca or self.ca).pem), ("certificate", one.pem), ("key", one.key)):
            paths[name].write_bytes(pem)
        return {"ca": paths["ca"], "certificate": paths["certificate"], "key": paths["key"]}


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """A server's certificate, one of a client, and the issuer of both."""
    ca = authority()
    made = Tls(files_in(tmp_path), ca, issued(ca), issued(ca, "a client"))
    made.files.write(made.server, ca)
    return made


def scores(address: str, options: AccessOptions) -> bool:
    """Tell whether a call is answered."""
    with Client(address, deadline_s=3.0, **options) as client:
        try:
            return bool(client.score("s1", [an_event(1, 0)]).events_seen)
        except grpc.RpcError as error:
            if error.code() not in _NO_CONNECTION:
                raise
            return False


def refuses(connect: Callable[[], object]) -> bool:
    """Tell whether a connection comes to nothing."""
    try:
        connect()
    except OSError:
        return True
    return False


def in_plaintext(port: int, said: bytes) -> bytes:
    """Say something without TLS and give what is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(said)
        try:
            return connection.recv(100)
        except OSError:
            return b""


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_f1_who_does_not_belong_is_not_connected(
    start: Start, tls: Tls, tmp_path: Path, door: str, reached: Reached
) -> None:
    """TLS 1.2+ and mTLS: wrong CA, no client certificate, an expired one, plaintext, TLS 1.1."""
    server, port, protocol = serve(start, tls, door)
    stranger = authority("stranger")
    no_tls = [protocol[1], b"POST /v1/score HTTP/1.1\r\nHost: here\r\n\r\n"]
    refused = {
        "wrong CA": lambda: exchange(port, stranger, protocol, tls.client),
        "no client certificate": lambda: exchange(port, tls.ca, protocol),
        "a stranger's client certificate": lambda: exchange(
            port, tls.ca, protocol, issued(stranger)
        ),
        "an expired client certificate": lambda: exchange(
            port, tls.ca, protocol, issued(tls.ca, begins=-3, ends=-1)
        ),
        "a client certificate not yet valid": lambda: exchange(
            port, tls.ca, protocol, issued(tls.ca, begins=1, ends=3)
        ),
        "TLS 1.0": lambda: exchange(
            port, tls.ca, protocol, tls.client, version=ssl.TLSVersion.TLSv1
        ),
        "TLS 1.1": lambda: exchange(
            port, tls.ca, protocol, tls.client, version=ssl.TLSVersion.TLSv1_1
        ),
    }
    let_in = [name for name, connect in refused.items() if not refuses(connect)]
    assert let_in == []
    # What is not TLS gets an alert or nothing, never an answer.
    for said in no_tls:
        assert not re.search(rb"HTTP|\x00\x00\x04|\x00\x00\x12", in_plaintext(port, said))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, None):
        serial = exchange(port, tls.ca, protocol, tls.client, version=version)
        assert serial == tls.server.serial
    if door == "grpc":
        address = f"127.0.0.1:{port}"
        assert scores(address, tls.options(tmp_path))
        assert not scores(address, tls.options(tmp_path, ca=stranger))
        assert not scores(address, tls.options(tmp_path, client=issued(stranger)))
        assert not scores(address, {})
        probes = server.await_event("serving")["health_port"]
        assert health.check(f"127.0.0.1:{probes}") == "SERVING"
    # Whoever scans the port writes nothing into the log.
    assert [line for line in server.lines if not line.startswith("{")] == []
    reached("F1", f"{door}: {len(refused) + len(no_tls)} ways refused, TLS 1.2 and 1.3 answered")


def test_f1_a_certificate_that_cannot_be_used_ends_the_start(
    start: Start, tls: Tls, tmp_path: Path
) -> None:
    """A file that is missing, damaged, locked, of another or too old: one line, status 1."""
    files, other = tls.files, issued(tls.ca)
    spoilt: dict[str, tuple[Path, bytes | None]] = {
        "setting tls_certificate: .*can't be read": (files.certificate, None),
        "setting tls_certificate: .*not in PEM": (files.certificate, b"no certificate"),
        "setting tls_key: .*isn't the key": (files.key, other.key),
        "setting tls_key: .*password": (files.key, tls.server.locked_key),
        "setting tls_key: .*not in PEM": (files.key, tls.server.key[:-60]),
        "setting tls_client_ca: .*not in PEM": (files.client_ca, b""),
        "setting tls_certificate: .*expired on": (
            files.certificate, issued(tls.ca, begins=-3, ends=-1).pem,
        ),
    }  # fmt: skip
    started: list[tuple[str, Server]] = []
    for number, (expected, (path, content)) in enumerate(spoilt.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        own = files_in(folder)
        own.write(tls.server, tls.ca)
        if "expired" in expected:
            own.write(issued(tls.ca, begins=-3, ends=-1))
        elif content is None:
            (folder / path.name).unlink()
        else:
            (folder / path.name).write_bytes(content)
        server = start(**own.settings)
        status, _ = server.end(60)
        started.append((expected, server))
        assert status == 1, server.log
    for expected, server in started:
        (line,) = server.plain_lines
        assert re.search(expected, line), line


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_f1_certificates_rotate_under_load(
    start: Start, tls: Tls, tmp_path: Path, door: str, form: Form, reached: Reached
) -> None:
    """Certificates rotate without a restart: 0 failed calls; a damaged one changes nothing."""
    server, port, protocol = serve(start, tls, door)
    rounds = form(2, 20)
    with load_on(port, tls, protocol, tmp_path) as load:
        for _ in range(rounds):
            tls.server = issued(tls.ca)
            tls.files.write(tls.server)
            await_serial(load, tls.server.serial)
        # Half of a rotation, and one that is damaged: the last good one serves on.
        good = tls.server
        tls.files.certificate.write_bytes(issued(tls.ca).pem)
        server.await_event("file_not_reloaded", RELOAD_S)
        tls.files.key.write_bytes(b"damaged")
        seen = len(load.serials)
        while len(load.serials) < seen + 20:
            time.sleep(0.05)
        assert set(load.serials[seen:]) == {good.serial}
        if door == "grpc":
            metrics = scrape(server.await_event("serving")["metrics_port"])
            assert 'micromoment_file_stale{setting="tls_certificate"} 1.0' in metrics
        tls.server = issued(tls.ca, ends=10)
        tls.files.write(tls.server)
        await_serial(load, tls.server.serial)
    assert load.failures == []
    if door == "grpc":
        metrics = scrape(server.await_event("serving")["metrics_port"])
        assert 'micromoment_file_stale{setting="tls_certificate"} 0.0' in metrics
        found = re.search(
            r"^micromoment_certificate_not_after_seconds (\S+)", metrics, re.MULTILINE
        )
        assert found is not None
        assert float(found[1]) == tls.server.certificate.not_valid_after_utc.timestamp()
    # Other clients are believed from now on.
    later = authority("later")
    tls.files.write(issued(tls.ca), later)
    deadline = time.monotonic() + RELOAD_S
    while refuses(lambda: exchange(port, tls.ca, protocol, issued(later))):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert refuses(lambda: exchange(port, tls.ca, protocol, tls.client))
    server.process.send_signal(signal.SIGTERM)
    assert server.end(20)[0] == 0
    what = f"{load.calls} calls and " if load.calls else ""
    reached(
        "F1",
        f"{door}: {rounds + 1} rotations under load, 0 of {what}{len(load.serials)} new "
        "connections failed",
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("door", ["grpc", "http"])
def test_f1_nobody_goes_on_with_a_session_of_an_issuer_that_is_believed_no_more(
    start: Start, tls: Tls, door: str, version: ssl.TLSVersion, reached: Reached
) -> None:
    """What was agreed upon before the clients' issuer was taken out is not resumed after it."""
    server, port, protocol = serve(start, tls, door)
    context = client_context(tls.ca, protocol, tls.client, version)
    _, session, _ = exchange_session(port, context, protocol)
    _, _, is_resumed = exchange_session(port, context, protocol, session)
    assert is_resumed  # or the test shows nothing
    later = authority("later")
    tls.files.write(issued(tls.ca), later)
    newcomer = issued(later)
    deadline = time.monotonic() + RELOAD_S
    while refuses(lambda: exchange(port, tls.ca, protocol, newcomer)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert refuses(lambda: exchange_session(port, context, protocol, session))
    assert server.process.poll() is None
    reached("F1", f"{door}: {version.name} sessions of an issuer taken out are not resumed")


def test_f1_a_key_that_all_can_read_is_warned_of(start: Start, tls: Tls) -> None:
    """The start says so, and serves."""
    tls.files.key.chmod(0o644)
    server = start(**tls.files.settings)
    assert server.await_event("key_readable_by_all")["setting"] == "tls_key"
    server.await_event("serving")


def test_f1_the_checks_see_an_old_version_that_is_taken(tls: Tls) -> None:
    """A server that takes TLS 1.1 is told from one that does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.files.certificate, tls.files.key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what is tried
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.recv(1)
                connection.sendall(b"x")

        answered = pool.submit(answer)
        port = listener.getsockname()[1]
        serial = exchange(port, tls.ca, HTTP, version=ssl.TLSVersion.TLSv1_1)
        answered.result(10)
    assert serial == tls.server.serial


@dataclass
class TlsLoad:
    """Calls on connections that stay, and connections that are new each time."""

    calls: int = 0
    serials: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def serve(start: Start, tls: Tls, door: str) -> tuple[Server, int, tuple[str, bytes]]:
    """Start a server; give its port and what it is asked by."""
    if door == "http":
        server = start(SERVE_HTTP, http_port="0", **tls.files.settings)
        return server, server.await_event("serving_http")["port"], HTTP
    server = start(metrics_port="0", health_port="0", **tls.files.settings)
    return server, server.await_event("serving")["port"], GRPC


@contextmanager
def load_on(port: int, tls: Tls, protocol: tuple[str, bytes], folder: Path) -> Iterator[TlsLoad]:
    """Call and connect until the block ends."""
    load, stop = TlsLoad(), threading.Event()
    options = tls.options(folder)

    def call() -> None:
        while not stop.is_set():
            with Client(f"127.0.0.1:{port}", deadline_s=10.0, **options) as client:
                for number in range(200):
                    if stop.is_set():
                        return
                    try:
                        client.score(f"s{number % 7}", [an_event(10 + number % 7, number)])
                    except grpc.RpcError as error:
                        load.failures.append(str(error))
                    load.calls += 1

    def connect() -> None:
        while not stop.is_set():
            try:
                load.serials.append(exchange(port, tls.ca, protocol, tls.client))
            except OSError as error:
                load.failures.append(repr(error))
            time.sleep(0.01)

    work: Sequence[Callable[[], None]] = (connect,) if protocol is HTTP else (call, call, connect)
    workers = [threading.Thread(target=one) for one in work]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        stop.set()
        for worker in workers:
            worker.join(30)


def await_serial(load: TlsLoad, serial: int) -> None:
    """Wait until new connections get a certificate."""
    deadline = time.monotonic() + RELOAD_S
    while not load.serials or load.serials[-1] != serial:
        assert time.monotonic() < deadline, load.failures[:3]
        time.sleep(0.02)
