"""From rows about visits to events of sessions: what importers of single events share."""

from training.importers.visits.cuts import SessionRules

__all__ = ["SessionRules"]
