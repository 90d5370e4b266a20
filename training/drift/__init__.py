"""How far later data are from those of training: histograms in the bundle, and PSI against them."""

from training.drift.histograms import Histogram, TrainingHistograms, histograms_of
from training.drift.psi import Shift, measure_shifts

__all__ = ["Histogram", "Shift", "TrainingHistograms", "histograms_of", "measure_shifts"]
