"""From bundles of the store to messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from micromoment.scoring.manifest import Manifest
from micromoment.stores.bundle_list import Quality, StoredBundle, trained_days
from micromoment.transport.bundles import Activation
from micromoment.v1 import models_pb2 as pb

_US_PER_SECOND: Final = 1_000_000


def bundle_message(stored: StoredBundle, active: str) -> pb.Bundle:
    """Tell of a bundle what one should know before it answers."""
    message = pb.Bundle(
        bundle=stored.tag,
        active=stored.tag == active,
        pointers=stored.pointers,
        problem=stored.problem,
    )
    message.added_time.FromMicroseconds(round(stored.added_s * _US_PER_SECOND))
    manifest = stored.manifest
    if manifest is None:
        return message
    message.size_bytes = stored.size
    message.starter = manifest.starter
    days = trained_days(manifest)
    if days is not None:
        message.trained_from, message.trained_through = (day.isoformat() for day in days)
    message.models.extend(_models(manifest))
    message.signers.extend(
        pb.BundleSigner(key_id=one.key_id, trusted=bool(one.name), key_name=one.name)
        for one in stored.signers
    )
    message.quality.extend(map(_quality, stored.quality))
    return message


def details_message(stored: StoredBundle, active: str) -> pb.GetBundleResponse:
    """Tell of a bundle all that its manifest says."""
    reply = pb.GetBundleResponse(bundle=bundle_message(stored, active))
    manifest = stored.manifest
    if manifest is None:
        return reply
    reply.currency = manifest.shop.currency
    reply.time_zone = manifest.shop.time_zone
    reply.session_expiry.FromTimedelta(timedelta(seconds=manifest.session_expiry_s))
    reply.max_clock_skew.FromTimedelta(timedelta(seconds=manifest.max_clock_skew_s))
    reply.features.extend(feature.name for feature in manifest.features)
    reply.files.extend(
        pb.BundleFile(path=path, size_bytes=file.size, sha256=file.sha256)
        for path, file in sorted(manifest.files.items())
    )
    reply.training.CopyFrom(ParseDict(manifest.training, Struct()))
    return reply


def activation_message(activation: Activation) -> pb.ActivateBundleResponse:
    """Tell what became of a bundle that was to answer."""
    reply = pb.ActivateBundleResponse(
        bundle=activation.bundle,
        previous_bundle=activation.previous,
        changed=activation.changed,
        notes=activation.notes,
    )
    reply.duration.FromTimedelta(timedelta(seconds=activation.seconds))
    if activation.golden is not None:
        reply.golden_answers = activation.golden.answers
        reply.golden_inexact = activation.golden.inexact
    return reply


def _models(manifest: Manifest) -> list[pb.BundleModel]:
    conversion, churn, absent = manifest.conversion, manifest.churn, manifest.absent
    return [
        pb.BundleModel(
            predicted=pb.PREDICTED_CONVERSION,
            present=conversion is not None,
            absent_reason=absent.get("conversion", ""),
            feature_count=len(conversion.features) if conversion else 0,
        ),
        pb.BundleModel(
            predicted=pb.PREDICTED_CHURN,
            present=churn is not None,
            absent_reason=absent.get("churn", ""),
            feature_count=len(churn.features) if churn else 0,
            target=churn.target if churn else "",
            horizon_days=churn.horizon_days if churn else 0,
        ),
        pb.BundleModel(
            predicted=pb.PREDICTED_CLUSTERS,
            present=manifest.clusters is not None,
            absent_reason=absent.get("clusters", ""),
        ),
        pb.BundleModel(predicted=pb.PREDICTED_AUDIENCES, present=manifest.audiences is not None),
    ]


def _quality(quality: Quality) -> pb.QualityAtDepth:
    return pb.QualityAtDepth(
        events_seen=quality.events_seen,
        visits=quality.visits,
        buyers=quality.buyers,
        calibration_error=quality.calibration_error,
        pr_auc=quality.pr_auc,
        roc_auc=quality.roc_auc,
        lift_at_10=quality.lift_at_10,
    )
