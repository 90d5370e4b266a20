"""Proof that offline and online are one: the same events, two processes, the same bits."""

from training.parity.callers import Via
from training.parity.check import Mismatch, ParityReport, ParityRequest, check_parity
from training.parity.logged import LogParityReport, check_log
from training.parity.stores import OnlineStores

__all__ = [
    "LogParityReport",
    "Mismatch",
    "OnlineStores",
    "ParityReport",
    "ParityRequest",
    "Via",
    "check_log",
    "check_parity",
]
