"""What is said of one decision point, from its features. One rule for serving and for files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from micromoment.events.record import RecordArray
from micromoment.events.vocabulary import JourneyStage
from micromoment.scoring.audiences import PointFacts
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.clusters import NONE
from micromoment.scoring.lifecycle import Lifecycle, lifecycle_of
from micromoment.scoring.models import Prospect
from micromoment.scoring.orders import OrderForecast

Float32Array = npt.NDArray[np.float32]


def conversion_of(probability: float, converted: bool) -> float | None:
    """Give the conversion to report: none once the visit has converted."""
    return None if converted else probability


def abandonment_of(probability: float, converted: bool, cart_filled: bool) -> float | None:
    """Give 1 - conversion while the cart is not empty and the visit has not converted."""
    return 1.0 - probability if cart_filled and not converted else None


@dataclass(frozen=True, slots=True)
class PointStates:
    """What the models need besides features, of m decision points: arrays of shape (m,).

    `stage` holds `JourneyStage` numbers.
    """

    events_seen: npt.NDArray[np.int64]
    converted: npt.NDArray[np.bool_]
    cart_filled: npt.NDArray[np.bool_]
    stage: npt.NDArray[np.uint8]


def point_states(states: RecordArray) -> PointStates:
    """Take them out of m session states, dtype `STATE`."""
    return PointStates(
        events_seen=states["events_seen"],
        converted=states["converted"] > 0,
        cart_filled=states["cart_quantity"] > 0,
        stage=states["stage"],
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one decision point by itself; None where it does not apply.

    `coming` goes with churn of orders. `cluster` is a number, `audiences` are bits: what a visit
    belongs to follows by `settling`.
    """

    conversion: float | None
    abandonment: float | None
    churn: float | None
    cluster: int
    audiences: int
    lifecycle: Lifecycle
    coming: OrderForecast | None = None


def outcomes_of(bundle: LoadedBundle, rows: Float32Array, states: PointStates) -> list[Outcome]:
    """Judge m decision points; `rows` are the bundle's features, shape (m, n)."""
    model = bundle.conversion
    conversions: Sequence[float | None] = [None] * len(rows)
    if model is not None:
        conversions = model.probabilities(rows, states.events_seen)
    return [
        _outcome(bundle, row, probability, ahead, int(number), bool(over), bool(cart), int(stage))
        for row, probability, ahead, number, over, cart, stage in zip(
            rows.tolist(),
            conversions,
            _prospects(bundle, rows),
            _clusters(bundle, rows),
            states.converted,
            states.cart_filled,
            states.stage,
            strict=True,
        )
    ]


def _prospects(bundle: LoadedBundle, rows: Float32Array) -> list[Prospect | None]:
    prospects: list[Prospect | None] = [None] * len(rows)
    if bundle.churn is not None:
        eligible = np.flatnonzero(bundle.churn.speaks_of(rows))
        found = bundle.churn.prospects(rows[eligible])
        for place, prospect in zip(eligible.tolist(), found, strict=True):
            prospects[place] = prospect
    return prospects


def _clusters(bundle: LoadedBundle, rows: Float32Array) -> npt.NDArray[np.uint8]:
    if bundle.clusters is None:
        return np.full(len(rows), NONE, np.uint8)
    return bundle.clusters.numbers(rows)


def _outcome(
    bundle: LoadedBundle,
    values: Sequence[float],
    probability: float | None,
    ahead: Prospect | None,
    cluster: int,
    converted: bool,
    cart_filled: bool,
    stage: int,
) -> Outcome:
    conversion = abandonment = None
    churn = ahead.churn if ahead is not None else None
    if probability is not None:
        conversion = conversion_of(probability, converted)
        abandonment = abandonment_of(probability, converted, cart_filled)
    lifecycle = lifecycle_of(values, bundle.feature_places, bundle.manifest.lifecycle)
    bits = 0
    if bundle.audiences is not None:
        found = bundle.clusters.get(cluster) if bundle.clusters is not None else None
        facts = PointFacts(
            conversion=conversion,
            abandonment=abandonment,
            churn=churn,
            converted=converted,
            stage=JourneyStage(stage).name.lower(),
            lifecycle=lifecycle.value,
            cluster=found.id if found else "",
        )
        bits = bundle.audiences.bits(values, facts)
    coming = ahead.coming if ahead is not None else None
    return Outcome(conversion, abandonment, churn, cluster, bits, lifecycle, coming)
