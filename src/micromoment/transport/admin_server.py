"""The server for operators: loopback only, and with credentials for callers of the right role."""

from __future__ import annotations

from typing import Final, cast

import grpc

from micromoment.ports import LOOPBACK
from micromoment.security.access import Access
from micromoment.transport.admission import Admission
from micromoment.transport.bundles import BundlesSlot
from micromoment.transport.guards import Guards
from micromoment.transport.model_service import ModelService
from micromoment.transport.observer import Observer
from micromoment.transport.privacy import PrivacySlot
from micromoment.transport.privacy_service import SERVICE as PRIVACY
from micromoment.transport.privacy_service import add_privacy_service
from micromoment.transport.server import OPTIONS, add_reflection, bind
from micromoment.v1 import models_pb2, models_pb2_grpc

# An activation takes seconds, and on a busy machine many.
DEADLINE_S: Final = 120.0
_MAX_CONCURRENT: Final = 8
# A peer has no use for more of them, and what is begun and broken off takes memory.
_OPTIONS: Final = (*OPTIONS, ("grpc.max_concurrent_streams", 2 * _MAX_CONCURRENT))
_SERVICE: Final = models_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name


def make_admin_server(
    slot: BundlesSlot,
    privacy: PrivacySlot,
    observer: Observer,
    *,
    port: int,
    reflect: bool,
    access: Access | None = None,
) -> tuple[grpc.aio.Server, int]:
    """Make the server and bind its port, which it gives, too.

    Raises `InvalidSettingError` when the port is taken.
    """
    guards = Guards(
        Admission(_MAX_CONCURRENT), observer, default_deadline_s=DEADLINE_S, access=access
    )
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((guards,))
    guarded = cast(grpc.aio.Server, guards)
    models_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(slot), guarded)
    add_privacy_service(privacy, guarded)
    if reflect:
        add_reflection((_SERVICE, PRIVACY), guarded)
    return server, bind(server, LOOPBACK, port, setting="admin_port")
