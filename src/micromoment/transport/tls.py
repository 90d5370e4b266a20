"""TLS of the gRPC server, with the certificate of the moment."""

from __future__ import annotations

import grpc

from micromoment.security.certificates import Tls
from micromoment.security.watched_files import WatchedFiles


def server_credentials(files: WatchedFiles[Tls]) -> grpc.ServerCredentials:
    """Give credentials that take up another certificate with the next connection.

    TLS 1.2 is the least that gRPC takes. Whether clients need a certificate stays as it is now.
    """
    given = files.current

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        current = files.current
        if current is given:
            return None  # gRPC keeps the last one
        given = current
        return _configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        fetch,  # type: ignore[arg-type] # None, which gRPC takes, is not in the annotation
        require_client_authentication=given.client_ca is not None,
    )


def _configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(tls.key, tls.certificate)], root_certificates=tls.client_ca
    )
