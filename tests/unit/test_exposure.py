"""Where a server may listen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from micromoment.bootstrap import make_service
from micromoment.errors import InvalidSettingError
from micromoment.exposure import check_exposure, is_loopback, warn_of_exposure
from micromoment.settings import Settings, load_settings
from tests.support.certificates import authority, files_in, issued
from tests.support.tokens import Tokens

HERE = ("127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost")
ELSEWHERE = ("0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "example.org", "localhost.example.org")  # noqa: S104 - refused


@pytest.mark.parametrize("host", HERE)
def test_this_machine_needs_nothing(host: str) -> None:
    """Loopback is open to its own programs alone."""
    assert is_loopback(host)
    check_exposure(Settings(host=host))


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_network_needs_certificate_and_credentials(host: str) -> None:
    """Each that is missing is named, with the setting that allows it."""
    assert not is_loopback(host)
    cert: dict[str, Any] = {"tls_certificate": Path("c"), "tls_key": Path("k")}
    who: dict[str, Any] = {"credentials": Path("t")}
    for given, missing in (
        ({}, ["tls_certificate", "credentials"]),
        (cert, ["credentials"]),
        (who, ["tls_certificate"]),
    ):
        with pytest.raises(InvalidSettingError) as caught:
            check_exposure(Settings(host=host, **given))
        assert f"{' and '.join(missing)} not set" in str(caught.value)
        assert "insecure" in str(caught.value)
        settings = Settings(host=host, insecure=True, **given)
        check_exposure(settings)
        with capture_logs() as logs:
            warn_of_exposure(settings)
        assert [(log["event"], log["log_level"], log["missing"]) for log in logs] == [
            ("insecure", "warning", missing)
        ]
    check_exposure(Settings(host=host, **cert, **who))
    with capture_logs() as logs:
        warn_of_exposure(Settings(host=host, insecure=True, **cert, **who))
    assert logs == []


def test_no_service_is_made_without(tmp_path: Path) -> None:
    """Neither the gRPC server nor the front door, whoever puts it together."""
    with pytest.raises(InvalidSettingError, match="not set"):
        make_service(Settings(host="10.0.0.1"))
    files = files_in(tmp_path)
    ca = authority()
    files.write(issued(ca), ca)
    tokens = Tokens(tmp_path / "credentials.json")
    tokens.new()
    given: dict[str, Any] = {name: Path(path) for name, path in files.settings.items()}
    service = make_service(Settings(host="10.0.0.1", credentials=tokens.path, **given))
    assert service.security.tls is not None
    assert service.security.access is not None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"tls_certificate": "c"}, "tls_key must be set too"),
        ({"tls_key": "k"}, "tls_certificate must be set too"),
        ({"tls_client_ca": "a"}, "tls_client_ca needs tls_certificate"),
    ],
)
def test_tls_is_whole(given: dict[str, str], named: str) -> None:
    """Half of it would be plaintext."""
    with pytest.raises(InvalidSettingError, match=named):
        load_settings(**given)
