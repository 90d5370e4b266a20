"""The steps of the offline side as functions: train, score, evaluate."""

from training.pipeline.evaluate import EvaluateRequest, evaluate_all, evaluate_bundle
from training.pipeline.score import ScoreRequest, score_events
from training.pipeline.train import TrainReport, TrainRequest, train

__all__ = [
    "EvaluateRequest",
    "ScoreRequest",
    "TrainReport",
    "TrainRequest",
    "evaluate_all",
    "evaluate_bundle",
    "score_events",
    "train",
]
