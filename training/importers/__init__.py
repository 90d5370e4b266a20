"""Importers: from a shop's own export to canonical events, one Parquet file per shop-day."""

from training.importers.ga4 import import_ga4
from training.importers.report import FileReport, ImportReport
from training.importers.segment import import_segment
from training.importers.table import import_table

__all__ = ["FileReport", "ImportReport", "import_ga4", "import_segment", "import_table"]
