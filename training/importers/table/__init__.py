"""Any shop's tables, Parquet or CSV, to canonical events by a mapping of columns."""

from training.importers.table.importer import import_table

__all__ = ["import_table"]
