"""Segment's calls, as JSON lines, to canonical events."""

from training.importers.segment.importer import import_segment

__all__ = ["import_segment"]
