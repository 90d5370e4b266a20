"""A bounded search for the conversion model's parameters, outside the default path of training."""

from __future__ import annotations

from training.tuning.run import TuneRequest, run_search
from training.tuning.search import Budget, Tuned, search

__all__ = ["Budget", "TuneRequest", "Tuned", "run_search", "search"]
