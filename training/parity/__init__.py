"""Proof that offline and online are one: the same events, two processes, the same bits."""

from training.parity.check import ParityReport, ParityRequest, check_parity

__all__ = ["ParityReport", "ParityRequest", "check_parity"]
