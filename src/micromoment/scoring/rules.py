"""A bundle's rules, made ready for compiled code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from cel_expr_python import cel

from micromoment.events.vocabulary import JourneyStage
from micromoment.features.points import CONVERTED, STAGE
from micromoment.scoring import judging
from micromoment.scoring.audience_program import Program, ProgramWriter, Words
from micromoment.scoring.audiences import PointFacts
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.cel_syntax import expression_of
from micromoment.scoring.clusters import NONE, ClusterSpace
from micromoment.scoring.lifecycle import ORDER, limits_of, places_of

NO_SPACE: Final = ClusterSpace(
    np.empty(0, np.int64), np.empty((0, 4)), np.empty((0, 0)), np.empty(0, np.int64)
)


@dataclass(frozen=True, slots=True)
class BundleRules:
    """`compiled` is what compiled code runs, `left` are the audiences that CEL itself must judge.

    `left` holds their bits and rules.
    """

    compiled: judging.Rules
    left: tuple[tuple[int, cel.Expression], ...]


def rules_of(bundle: LoadedBundle) -> BundleRules:
    """Make a bundle's rules ready."""
    model = bundle.conversion
    calibration = np.empty(0)
    if model is not None:
        first, deep = model.calibrator.first, model.calibrator.deep
        calibration = np.array([first.slope, first.intercept, deep.slope, deep.intercept])
    churn, eligible = np.empty(0), np.empty(0, np.int64)
    if bundle.churn is not None and bundle.churn.orders is None:
        calibrator = bundle.churn.model.calibrator
        churn = np.array([calibrator.slope, calibrator.intercept])
        eligible = np.array([bundle.churn.eligible_at], np.int64)
    program, left = _translate(bundle)
    compiled = judging.Rules(
        calibration=calibration,
        churn=churn,
        churn_eligible=eligible,
        space=bundle.clusters.space if bundle.clusters is not None else NO_SPACE,
        lifecycle_places=places_of(bundle.feature_places),
        lifecycle_limits=limits_of(bundle.manifest.lifecycle),
        steps=program.steps,
        constants=program.constants,
    )
    return BundleRules(compiled, left)


def bits_left(
    bundle: LoadedBundle,
    left: tuple[tuple[int, cel.Expression], ...],
    values: list[float],
    said: tuple[list[float], list[int], list[int]],
) -> int:
    """Judge the audiences that are `left` for a point: the bits of those that hold.

    `values` are its features, `said` its numbers, its counts (of `judging`) and what is known of
    the visit (of `features.points`).
    """
    if bundle.audiences is None:
        return 0
    numbers, counts, known = said
    found = bundle.clusters.get(counts[judging.CLUSTER]) if bundle.clusters is not None else None
    # NaN stands for what is absent there, too.
    facts = PointFacts(
        conversion=numbers[judging.CONVERSION],
        abandonment=numbers[judging.ABANDONMENT],
        churn=numbers[judging.CHURN],
        converted=bool(known[CONVERTED]),
        stage=JourneyStage(known[STAGE]).name.lower(),
        lifecycle=ORDER[counts[judging.LIFECYCLE]].value,
        cluster=found.id if found else "",
    )
    return bundle.audiences.bits_of(left, values, facts)


def _translate(bundle: LoadedBundle) -> tuple[Program, tuple[tuple[int, cel.Expression], ...]]:
    writer = _writer(bundle)
    left = []
    for bit, rule in bundle.audiences.expressions() if bundle.audiences is not None else ():
        if not writer.add(expression_of(rule.serialize()), bit):
            left.append((bit, rule))
    return writer.program(), tuple(left)


def _writer(bundle: LoadedBundle) -> ProgramWriter:
    n = len(bundle.feature_names)
    numbers = {"": float(NONE)}
    if bundle.clusters is not None:
        numbers |= {one.id: float(one.number) for one in bundle.clusters.file.clusters}
    words = {
        "stage": Words(
            n + judging.SEEN_STAGE, {one.name.lower(): float(one) for one in JourneyStage}
        ),
        "lifecycle": Words(
            n + judging.SEEN_LIFECYCLE,
            {one.value: float(place) for place, one in enumerate(ORDER)},
        ),
        "cluster": Words(n + judging.SEEN_CLUSTER, numbers),
    }
    places = {name: at for name, at in bundle.feature_places.items() if name not in words}
    places |= {
        "conversion": n + judging.SEEN_CONVERSION,
        "abandonment": n + judging.SEEN_ABANDONMENT,
        "churn": n + judging.SEEN_CHURN,
        "converted": n + judging.SEEN_CONVERTED,
    }
    return ProgramWriter(places, words)
