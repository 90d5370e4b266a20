"""Importers: from a shop's own export to canonical events, one Parquet file per shop-day."""

from training.importers.ga4 import import_ga4
from training.importers.report import FileReport, ImportReport

__all__ = ["FileReport", "ImportReport", "import_ga4"]
