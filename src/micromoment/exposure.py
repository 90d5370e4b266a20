"""Whether a server may listen where it is told to: nobody opens it to a network by oversight."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import structlog

from micromoment.errors import InvalidSettingError
from micromoment.settings import Settings

_log = structlog.get_logger(__name__)


def check_exposure(settings: Settings) -> None:
    """Raise `InvalidSettingError` for an address beyond loopback without TLS or credentials.

    With `insecure` it may be so.
    """
    missing = missing_protection(settings)
    if missing and not settings.insecure:
        raise InvalidSettingError(
            "host",
            f"{settings.host} is no loopback address and {' and '.join(missing)} not set: whoever "
            "reaches the port could read or send what they like; set them, or `insecure=true` "
            "(the variable MICROMOMENT_INSECURE) where the network itself is trusted",
        )


def warn_of_exposure(settings: Settings) -> None:
    """Say in the log what an address beyond loopback lacks."""
    missing = missing_protection(settings)
    if missing:
        _log.warning("insecure", host=settings.host, missing=list(missing))


def missing_protection(settings: Settings) -> Sequence[str]:
    """Name the settings that a server beyond loopback lacks; none on loopback."""
    if is_loopback(settings.host):
        return ()
    needed = {"tls_certificate": settings.tls_certificate, "credentials": settings.credentials}
    return tuple(name for name, value in needed.items() if value is None)


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from its own machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
