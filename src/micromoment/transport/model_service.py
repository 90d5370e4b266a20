"""ModelService: tells of bundles and lets another one answer."""

from __future__ import annotations

from typing import Final

from micromoment.transport.bundle_messages import (
    activation_message,
    bundle_message,
    details_message,
)
from micromoment.transport.bundles import BundlesSlot
from micromoment.transport.grpc_types import Context
from micromoment.transport.request_rules import (
    check_activate_bundle_request,
    check_get_bundle_request,
    check_list_bundles_request,
)
from micromoment.v1 import models_pb2 as pb
from micromoment.v1.models_pb2_grpc import ModelServiceServicer

MAX_LISTED: Final = 500


class ModelService(ModelServiceServicer):
    """Decodes, asks for the bundles, encodes."""

    def __init__(self, slot: BundlesSlot) -> None:
        self._slot = slot

    async def ListBundles(  # noqa: N802 - the contract's name
        self, request: pb.ListBundlesRequest, _context: Context
    ) -> pb.ListBundlesResponse:
        """Tell of the bundles in the store."""
        bundles = self._slot.current()
        check_list_bundles_request(request)
        found = await bundles.list_bundles(request.name, MAX_LISTED + 1)
        return pb.ListBundlesResponse(
            bundles=[bundle_message(one, bundles.active) for one in found[:MAX_LISTED]],
            truncated=len(found) > MAX_LISTED,
            active_bundle=bundles.active,
        )

    async def GetBundle(  # noqa: N802 - the contract's name
        self, request: pb.GetBundleRequest, _context: Context
    ) -> pb.GetBundleResponse:
        """Tell all that is known of one bundle."""
        bundles = self._slot.current()
        check_get_bundle_request(request)
        return details_message(await bundles.get_bundle(request.bundle), bundles.active)

    async def ActivateBundle(  # noqa: N802 - the contract's name
        self, request: pb.ActivateBundleRequest, _context: Context
    ) -> pb.ActivateBundleResponse:
        """Let a bundle answer from now on."""
        bundles = self._slot.current()
        check_activate_bundle_request(request)
        activation = await bundles.activate(request.bundle, dry_run=request.dry_run)
        return activation_message(activation)
