"""Delayed truth: what came of the scores that were served, and what that says of the bundle."""

from training.monitor.run import LiveReport, MonitorRequest, monitor

__all__ = ["LiveReport", "MonitorRequest", "monitor"]
