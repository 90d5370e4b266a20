"""ModelService: tells of bundles and lets another one answer."""

from __future__ import annotations

import re
from typing import Final

from micromoment.errors import FieldViolation, InvalidRequestError
from micromoment.scoring.manifest import NAME_PATTERN
from micromoment.stores.bundles import is_tag
from micromoment.transport.bundle_messages import (
    activation_message,
    bundle_message,
    details_message,
)
from micromoment.transport.bundles import BundlesSlot
from micromoment.transport.grpc_types import Context
from micromoment.v1 import models_pb2 as pb
from micromoment.v1.models_pb2_grpc import ModelServiceServicer

MAX_LISTED: Final = 500
_MAX_TAG_BYTES: Final = 256


class ModelService(ModelServiceServicer):
    """Decodes, asks for the bundles, encodes."""

    def __init__(self, slot: BundlesSlot) -> None:
        self._slot = slot

    async def ListBundles(  # noqa: N802 - the contract's name
        self, request: pb.ListBundlesRequest, _context: Context
    ) -> pb.ListBundlesResponse:
        """Tell of the bundles in the store."""
        bundles = self._slot.current()
        _check_name(request.name)
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
        _check_tag(request.bundle)
        return details_message(await bundles.get_bundle(request.bundle), bundles.active)

    async def ActivateBundle(  # noqa: N802 - the contract's name
        self, request: pb.ActivateBundleRequest, _context: Context
    ) -> pb.ActivateBundleResponse:
        """Let a bundle answer from now on."""
        bundles = self._slot.current()
        _check_tag(request.bundle)
        activation = await bundles.activate(request.bundle, dry_run=request.dry_run)
        return activation_message(activation)


def _check_tag(tag: str) -> None:
    if not tag:
        raise _violation("bundle", "is required")
    if len(tag.encode()) > _MAX_TAG_BYTES or not is_tag(tag):
        raise _violation("bundle", "must have the form name:version")


def _check_name(name: str) -> None:
    if name and not re.fullmatch(NAME_PATTERN, name):
        raise _violation("name", "is no name of a bundle")


def _violation(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError([FieldViolation(field, description)])
