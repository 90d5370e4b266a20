"""All learned tables, fitted on the parts of a replay."""

from __future__ import annotations

from pathlib import Path

from micromoment.features.tables import Tables, tables_from_arrays
from training.replay.run import ReplaySettings
from training.tables.encodings import collect_points, fit_encodings
from training.tables.order_gaps import collect_purchases, fit_order_gaps
from training.tables.transitions import count_transitions, fit_transitions


def fit_tables(parts: list[Path], settings: ReplaySettings) -> Tables:
    """Fit every table with all its folds; `first_fold` of them is what a bundle carries."""
    transitions = fit_transitions(count_transitions(parts, settings))
    gaps = fit_order_gaps(collect_purchases(parts, settings))
    encodings = fit_encodings(collect_points(parts, settings))
    return tables_from_arrays({"transition_llr": transitions, "order_gap_days": gaps, **encodings})
