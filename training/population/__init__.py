"""Who is in a folder of events: visits, visitors, buyers and orders by day, and how far they go."""

from training.population.counts import DayCounts, FunnelCounts, Population, count_population
from training.population.imports import ImportCounts, read_import

__all__ = [
    "DayCounts",
    "FunnelCounts",
    "ImportCounts",
    "Population",
    "count_population",
    "read_import",
]
