"""From rows about visits to events of sessions: what importers of single events share."""

from training.importers.visits.cuts import SessionRules
from training.importers.visits.rows import DayRange

__all__ = ["DayRange", "SessionRules"]
