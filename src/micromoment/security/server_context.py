"""OpenSSL's context for a server's certificate, and whether anybody can connect with it."""

from __future__ import annotations

import os
import ssl
from typing import Final

# Of a handshake both sides speak twice each; what needs more goes nowhere.
_TURNS: Final = 8


def server_context(
    certificate: bytes, key: bytes, client_ca: bytes | None = None
) -> ssl.SSLContext:
    """Make a context for TLS 1.2 or newer from PEM. Raises `ssl.SSLError` for what can't be used.

    With `client_ca` clients need a certificate of one of these issuers.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The module reads certificates from files alone; what was checked must be what is used.
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key + b"\n" + certificate)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca.decode("ascii", "ignore"))
    return context


def try_handshake(certificate: bytes, key: bytes) -> None:
    """Connect in memory. Raises `ssl.SSLError` where no usual client could, for a short key say."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It is this server's own certificate, whoever issued it; nothing leaves the memory.
    client.check_hostname = False  # nosemgrep: no-unverified-tls - see above
    client.verify_mode = ssl.CERT_NONE  # nosemgrep: no-unverified-tls - see above
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server),
        server_context(certificate, key).wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(_TURNS):
        for side in tuple(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
        if not sides:
            return
    raise ssl.SSLError("the handshake does not end")
