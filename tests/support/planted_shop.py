"""A shop of which the truth is known: scores as a bundle gives them, orders as they then come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.v1 import events_pb2
from micromoment.v1 import log_pb2 as pb
from tests.support.bundles import bundle_parts
from tests.support.log_rows import START_S, a_visit
from training.drift import histograms_of
from training.evaluation.metrics import measure
from training.monitor.judge import OwnFigures, Points
from training.publishing.bundle import write_bundle

KS = (1, 3, 10)
FEATURES = ("n_events", "cart_qty")
DAY_S = 86_400.0
_MEAN, _SPREAD = -3.0, 1.2


def planted_points(seed: int, visits: int, *, shift: float = 0.0, blindness: float = 0.0) -> Points:
    """Draw settled scores of visits at up to three numbers of events seen.

    `shift` is added to the log-odds by which visits order, unknown to the score. `blindness` is the
    share of what the score knows that has turned to noise.
    """
    random = np.random.default_rng(seed)
    known = random.normal(_MEAN, _SPREAD, visits)
    label = random.random(visits) < _odds(known + shift)
    seen = random.geometric(0.15, visits)
    noise = random.normal(_MEAN, _SPREAD * np.sqrt(1 - (1 - blindness) ** 2), visits)
    probability = _odds(known * (1 - blindness) + noise - _MEAN * (1 - blindness))
    at = [np.flatnonzero(seen >= k) for k in KS]
    visit = np.concatenate(at)
    counts = np.concatenate([np.full(len(own), k) for own, k in zip(at, KS, strict=True)])
    return Points(counts, visit, visit // 2, probability[visit], label[visit])


def figures_of(points: Points) -> dict[int, OwnFigures]:
    """Measure points as a bundle's training does."""
    found = {}
    for k in KS:
        own = points.take(points.events_seen == k)
        one = measure(own.label, own.probability)
        buyers = int(own.label.sum())
        figures = (one.pr_auc, one.log_loss, one.predicted_over_observed)
        found[k] = OwnFigures(len(own.label), buyers, *figures)
    return found


def planted_store(folder: Path, seed: int = 100, visits: int = 4_000) -> str:
    """Write a bundle that has measured itself on such a shop into a store; give its tag."""
    points = planted_points(seed, visits)
    metrics = {}
    for k in KS:
        own = points.take(points.events_seen == k)
        metrics[str(k)] = {
            "n": len(own.label),
            "buyers": int(own.label.sum()),
            "model": asdict(measure(own.label, own.probability)),
        }
    random = np.random.default_rng(seed)
    features = random.normal(size=(5_000, len(FEATURES))).astype(np.float32)
    draft = folder / "tiny" / "draft"
    parts = bundle_parts(
        metrics={"calibration_days": metrics},
        histograms=histograms_of(features, FEATURES, points.probability),
    )
    manifest = write_bundle(draft, parts)
    draft.rename(draft.with_name(manifest.version))
    return f"tiny:{manifest.version}"


def planted_visits(
    tag: str, seed: int, visits: int, *, days: int = 4, moved: float = 0.0, **world: float
) -> Iterator[LoggedVisit]:
    """Let visits of `planted_points` come over some days and be logged, each with its order.

    A feature has moved by `moved` of its spread.
    """
    points = planted_points(seed, visits, **world)
    random = np.random.default_rng(seed)
    begins = np.sort(random.uniform(0, days * DAY_S, visits))
    position = 0
    for visit in range(visits):
        own = np.flatnonzero(points.visit == visit)
        told = 0
        name, begun = f"s{seed}-{visit}", begins[visit]
        for row in own:
            seen = int(points.events_seen[row])
            position += 1
            yield a_visit(
                position,
                name,
                *(f"e{number}" for number in range(told, seen)),
                kind=RowKind.WENT_ON if told else RowKind.BEGAN,
                received_s=begun + told,
                visitor_id=f"v{visit // 2}",
                bundle=tag,
                score=pb.LoggedScore(
                    score_id=f"{name}-{seen}",
                    conversion=float(points.probability[row]),
                    events_seen=seen,
                    features=_vector(random, moved),
                ),
            )
            told = seen
        if points.label[own[0]]:
            position += 1
            ordered = an_order(f"o{seed}-{visit}", begun + told)
            yield a_visit(
                position, name, events=[ordered], received_s=begun + told, bundle=tag,
                visitor_id=f"v{visit // 2}",
            )  # fmt: skip


def an_order(
    order_id: str, at_s: float, kind: int = events_pb2.EVENT_TYPE_PURCHASE
) -> events_pb2.Event:
    """Make an order, or what undoes one, so many seconds after `START_S`."""
    event = events_pb2.Event(event_id=f"{kind}-{order_id}", order_id=order_id)
    event.type = kind  # type: ignore[assignment] # a number of the contract
    event.event_time.FromMicroseconds(round((START_S + at_s) * 1e6))
    return event


def _odds(log_odds: np.ndarray) -> np.ndarray:
    odds: np.ndarray = 1 / (1 + np.exp(-log_odds))
    return odds


def _vector(random: np.random.Generator, moved: float) -> bytes:
    vector = np.zeros(len(FEATURE_NAMES), np.float32)
    for place, name in enumerate(FEATURES):
        vector[FEATURE_NAMES.index(name)] = random.normal() + (0.0 if place else moved)
    return vector.tobytes()
