"""The importer of a server's own event log: what was served can be learned from."""

from training.importers.log.importer import import_log
from training.importers.log.keys import LogKeys
from training.importers.log.source import LogSource, log_source, visits_of

__all__ = ["LogKeys", "LogSource", "import_log", "log_source", "visits_of"]
