"""A simulated shop, written as a raw GA4 BigQuery export, with the truth beside it.

The choices of a shopper come from what no export holds (intent, budget, patience, caution, taste),
so that a model can be compared with the best that is possible. `write_ga4_export` writes files that
the GA4 importer reads as it reads a real shop's; `true_conversion` tells how likely a visit was to
convert at any moment, and `observables` what it had shown by then.
"""

from __future__ import annotations

from training.simulator.config import ExportHabits, ShopConfig, SimulationReport
from training.simulator.export import point_keys, run, write_ga4_export
from training.simulator.observable import observables
from training.simulator.shop import DecisionPoints, SimulatedShop, simulate
from training.simulator.truth import true_conversion

__all__ = [
    "DecisionPoints",
    "ExportHabits",
    "ShopConfig",
    "SimulatedShop",
    "SimulationReport",
    "observables",
    "point_keys",
    "run",
    "simulate",
    "true_conversion",
    "write_ga4_export",
]
