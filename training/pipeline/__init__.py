"""The steps of the offline side as functions: train, score, evaluate."""

from training.pipeline.card import CARD_SAMPLE, gather_card
from training.pipeline.evaluate import EvaluateRequest, evaluate_all, evaluate_bundle
from training.pipeline.score import ScoreRequest, score_events
from training.pipeline.train import TrainReport, TrainRequest, train

__all__ = [
    "CARD_SAMPLE",
    "EvaluateRequest",
    "ScoreRequest",
    "TrainReport",
    "TrainRequest",
    "evaluate_all",
    "evaluate_bundle",
    "gather_card",
    "score_events",
    "train",
]
