"""TLS of the front door, with the certificate of the moment."""

from __future__ import annotations

import os
import ssl

from micromoment.security.certificates import Tls
from micromoment.security.watched_files import WatchedFiles


def make_context(files: WatchedFiles[Tls]) -> ssl.SSLContext:
    """Give a context for TLS 1.2 or newer that takes up another certificate with the next hello.

    Whether clients need a certificate stays as it is now.
    """
    used = files.current
    current = _context(used)
    first = _context(used)

    def choose(connection: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        nonlocal used, current
        latest = files.current
        if latest is not used:
            used, current = latest, _context(latest)
        connection.context = current

    first.sni_callback = choose
    return first


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # The module reads certificates from files alone; what was checked must be what is used.
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(tls.key + b"\n" + tls.certificate)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=tls.client_ca.decode("ascii", "ignore"))
    return context
