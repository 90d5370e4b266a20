"""Whether a shop has enough data for each of its models, by the limits that training uses."""

from __future__ import annotations

from training.readiness.check import ReadinessRequest, check_readiness
from training.readiness.needs import Need, Readiness
from training.readiness.table import readiness_table

__all__ = ["Need", "Readiness", "ReadinessRequest", "check_readiness", "readiness_table"]
