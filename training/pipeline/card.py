"""Gather what a model card says: an evaluation, and what is known of its data and its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from micromoment.scoring.bundle import LoadedBundle, load_bundle
from training.card import Card, Portrait
from training.drift import Shift, TrainingHistograms, measure_shifts
from training.event_files import event_days
from training.models.importance import FeatureImportance, measure_importance
from training.pipeline.evaluate import EvaluateRequest, Evaluations
from training.pipeline.sample import SampledPoints
from training.population import count_population, read_import
from training.progress import Steps
from training.publishing.bundle import read_histograms, read_metrics
from training.segments.space import ClusterSpace, cluster_space

# Decision points that are kept with their features: enough for shifts of a hundredth.
CARD_SAMPLE: Final = 40_000


def gather_card(request: EvaluateRequest, found: Evaluations, steps: Steps | None = None) -> Card:
    """Describe what was evaluated; `request.sample` must not have been 0 for features to show."""
    steps = steps or Steps()
    bundle = load_bundle(request.bundle)
    with steps.step("Describe data, features and drift"):
        days = event_days(request.events).between(last=request.last_day)
        shifts, score_shift = _drift(bundle.path, found.points)
        return Card(
            title=bundle.tag,
            visits=found.visits,
            churn=found.churn,
            bundle=bundle.manifest,
            metrics=read_metrics(bundle.path),
            population=count_population(days, request.first_day),
            imported=read_import(request.events),
            importance=_importance(bundle, found.points),
            space=_space(bundle, found.points),
            portraits=_portraits(found),
            shifts=shifts,
            score_shift=score_shift,
            notes=found.notes,
        )


def _portraits(found: Evaluations) -> tuple[Portrait, ...]:
    return tuple(
        Portrait(one.name, one.text, one.share, one.conversion)
        for one in found.portraits
        if one.visits
    )


def _importance(bundle: LoadedBundle, points: SampledPoints | None) -> FeatureImportance | None:
    record = bundle.manifest.conversion
    if bundle.conversion is None or record is None or points is None:
        return None
    text = (bundle.path / record.file).read_text(encoding="utf-8")
    return measure_importance(text, bundle.conversion.feature_names, points.rows)


def _space(bundle: LoadedBundle, points: SampledPoints | None) -> ClusterSpace | None:
    if bundle.clusters is None or points is None:
        return None
    return cluster_space(bundle.clusters.file, points.rows)


def _drift(bundle: Path, points: SampledPoints | None) -> tuple[tuple[Shift, ...], Shift | None]:
    trained: TrainingHistograms | None = read_histograms(bundle)
    if trained is None or points is None:
        return (), None
    names = points.rows.feature_names
    later = {name: points.rows.features[:, place] for place, name in enumerate(names)}
    score = measure_shifts({"score": trained.score}, {"score": points.conversion})
    return measure_shifts(trained.features, later), score[0] if score else None
