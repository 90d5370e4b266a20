"""How a client shows who it is, and finds out whom it talks to."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict, Unpack

import grpc

TOKEN_VARIABLE: Final = "MICROMOMENT_TOKEN"  # noqa: S105 - the name, not a token
TOKEN_FILE_VARIABLE: Final = "MICROMOMENT_TOKEN_FILE"  # noqa: S105 - as above
_SCHEME: Final = re.compile(r"(?:dns:(?:///)?|ipv[46]:)")
_LOCAL_SCHEMES: Final = ("unix:", "unix-abstract:")

Metadata = tuple[tuple[str, str], ...]


class AccessOptions(TypedDict, total=False):
    """How a client shows who it is, and finds out whom it talks to; files are PEM.

    `tls` speaks TLS and believes the issuers that gRPC knows, `ca` (a file of issuers) those alone.
    `certificate` and `key` are the client's own, where the server asks for them. `token` is what
    `micromoment token new` printed, `token_file` a file with it; without either it is that of the
    environment, `MICROMOMENT_TOKEN` or `MICROMOMENT_TOKEN_FILE`. Without TLS a token goes to this
    machine alone, unless `token_over_plaintext`.
    """

    tls: bool
    ca: str | Path
    certificate: str | Path
    key: str | Path
    token: str
    token_file: str | Path
    token_over_plaintext: bool


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection is made with: TLS or none, and what each call carries."""

    credentials: grpc.ChannelCredentials | None
    metadata: Metadata = field(repr=False)


def make_access(
    address: str,
    credentials: grpc.ChannelCredentials | None = None,
    **options: Unpack[AccessOptions],
) -> Access:
    """Read what `options` name; `credentials` are TLS made elsewhere.

    Raises `TypeError` for an option that there isn't, `OSError`, naming option or variable, for a
    file that can't be read, and `ValueError` for options that don't fit together: a token for a
    plain connection, say.
    """
    unknown = sorted(options.keys() - AccessOptions.__annotations__.keys())
    if unknown:
        known = ", ".join(AccessOptions.__annotations__)
        raise TypeError(f"there is no option {unknown[0]!r}; there are {known}")
    made = _tls(options)
    if made is not None and credentials is not None:
        raise ValueError("credentials and tls, ca or certificate are two ways to the same")
    made = credentials if made is None else made
    token = _token(options)
    if not token:
        return Access(made, ())
    if made is None and not is_local(address) and not options.get("token_over_plaintext", False):
        raise ValueError(
            "the token would cross the network in plain text: use tls or ca, or say "
            "token_over_plaintext=True"
        )
    return Access(made, (("authorization", f"Bearer {token}"),))


def is_local(address: str) -> bool:
    """Tell whether a gRPC address is on this machine whoever answers names."""
    if address.startswith(_LOCAL_SCHEMES):
        return True
    hosts = [_host(one) for one in _SCHEME.sub("", address, count=1).split(",")]
    return all(map(_is_loopback, hosts))


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(options: AccessOptions) -> grpc.ChannelCredentials | None:
    ca, certificate, key = (options.get(name) for name in ("ca", "certificate", "key"))
    if (certificate is None) != (key is None):
        raise ValueError("certificate and key belong together")
    if ca is None and certificate is None and not options.get("tls", False):
        return None
    return grpc.ssl_channel_credentials(
        _bytes("ca", ca), _bytes("key", key), _bytes("certificate", certificate)
    )


def _bytes(name: str, path: object) -> bytes | None:
    return None if path is None else _read(name, str(path))


def _read(name: str, path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        told = f"{error.strerror} (given as {name})"
        raise type(error)(error.errno, told, str(path)) from None


def _token(options: AccessOptions) -> str:
    token, file, named = options.get("token"), options.get("token_file"), "token_file"
    if token is None and file is None:
        token, file = os.environ.get(TOKEN_VARIABLE), os.environ.get(TOKEN_FILE_VARIABLE)
        named = TOKEN_FILE_VARIABLE
    if token is None and file:
        token = _read(named, file).decode("utf-8")
    token = (token or "").strip()
    # What gRPC would refuse, with the token in its message.
    if not token.isascii() or not token.isprintable():
        raise ValueError("the token has characters that no token has")
    return token
