"""How good scores are, by number of events seen: metrics, intervals by visitor, table and page."""

from training.evaluation.evaluate import Evaluation, EvaluationRow, evaluate
from training.evaluation.scored import DecisionPoints, at_events_seen
from training.evaluation.segments import SegmentRow, measure_segments
from training.evaluation.table import evaluation_table

__all__ = [
    "DecisionPoints",
    "Evaluation",
    "EvaluationRow",
    "SegmentRow",
    "at_events_seen",
    "evaluate",
    "evaluation_table",
    "measure_segments",
]
