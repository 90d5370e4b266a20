"""What a client is made with: TLS and a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from micromoment.client import AsyncClient, Client
from micromoment.client.access import is_local, make_access
from micromoment.client.admin import AdminClient
from tests.support.certificates import authority, issued

LOCAL = (
    "localhost:1", "127.0.0.1:1", "127.1.1.1:1", "[::1]:1", "ipv4:127.0.0.1:1", "ipv6:[::1]:1",
    "dns:///localhost:1", "unix:/tmp/socket", "ipv4:127.0.0.1:1,127.0.0.1:2",
)  # fmt: skip
REMOTE = (
    "10.0.0.1:1", "scores:50051", "dns:///scores:1", "dns://8.8.8.8/localhost:1",
    "dns:///localhost.example.org:1", "[2001:db8::1]:1", "ipv4:127.0.0.1:1,10.0.0.1:1",
    "localhost.example.org:1", "0.0.0.0:1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_token_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the environment's away."""
    for name in ("MICROMOMENT_TOKEN", "MICROMOMENT_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("address", LOCAL)
def test_a_token_goes_to_this_machine(address: str) -> None:
    """Plaintext does not leave it."""
    assert is_local(address)
    access = make_access(address, token="canary")
    assert access.metadata == (("authorization", "Bearer canary"),)
    assert "canary" not in repr(access)


@pytest.mark.parametrize("address", REMOTE)
def test_a_token_does_not_cross_a_network_in_the_open(address: str) -> None:
    """Unless somebody says so, or over TLS."""
    assert not is_local(address)
    with pytest.raises(ValueError, match="plain text") as caught:
        make_access(address, token="canary")
    assert "canary" not in str(caught.value)
    assert make_access(address, token="x", token_over_plaintext=True).metadata
    assert make_access(address, token="x", tls=True).credentials is not None
    assert make_access(address, grpc.ssl_channel_credentials(), token="x").metadata
    assert make_access(address).credentials is None


@pytest.mark.parametrize("kind", [Client, AdminClient, AsyncClient])
async def test_every_client_refuses_it(
    kind: type[Client | AdminClient | AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a token of the environment."""
    monkeypatch.setenv("MICROMOMENT_TOKEN", "canary")
    with pytest.raises(ValueError, match="plain text"):
        kind("10.0.0.1:1")


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given goes first; ends of lines don't count."""
    file, other = tmp_path / "token", tmp_path / "other"
    file.write_text("of-a-file\n")
    other.write_text("of-another\n")
    monkeypatch.setenv("MICROMOMENT_TOKEN_FILE", str(other))
    assert make_access("localhost:1").metadata[0][1] == "Bearer of-another"
    monkeypatch.setenv("MICROMOMENT_TOKEN", "of-the-environment")
    assert make_access("localhost:1").metadata[0][1] == "Bearer of-the-environment"
    assert make_access("localhost:1", token_file=file).metadata[0][1] == "Bearer of-a-file"
    assert make_access("localhost:1", token="given").metadata[0][1] == "Bearer given"
    assert make_access("localhost:1", token="").metadata == ()


@pytest.mark.parametrize("named", ["ca", "certificate", "key", "token_file"])
def test_a_file_that_cannot_be_read_is_named_by_its_option(tmp_path: Path, named: str) -> None:
    """As the error of the system that it is, with the path."""
    there = tmp_path / "there"
    there.write_bytes(b"x")
    given: dict[str, Any] = {"certificate": there, "key": there, named: tmp_path / "absent"}
    with pytest.raises(FileNotFoundError) as caught:
        make_access("localhost:1", **given)
    assert f"No such file or directory (given as {named})" in str(caught.value)
    assert caught.value.filename == str(tmp_path / "absent")


def test_a_token_s_file_of_the_environment_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gave an option then."""
    monkeypatch.setenv("MICROMOMENT_TOKEN_FILE", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match="given as MICROMOMENT_TOKEN_FILE"):
        make_access("localhost:1")


def test_options_fit_together(tmp_path: Path) -> None:
    """A misspelt one, half a pair, and two ways to the same are refused."""
    certificate = tmp_path / "client.crt"
    certificate.write_bytes(issued(authority()).pem)
    with pytest.raises(TypeError, match="no option 'tokn'"):
        make_access("localhost:1", tokn="x")  # type: ignore[call-arg] # on purpose
    with pytest.raises(ValueError, match="belong together"):
        make_access("localhost:1", certificate=certificate)
    with pytest.raises(ValueError, match="two ways"):
        make_access("localhost:1", grpc.ssl_channel_credentials(), ca=certificate)
    with pytest.raises(OSError, match="absent"):
        make_access("localhost:1", ca=tmp_path / "absent")
    with pytest.raises(ValueError, match="characters") as caught:
        make_access("localhost:1", token="canary\ncanary")
    assert "canary" not in str(caught.value)
