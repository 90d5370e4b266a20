"""Brings what is stored under the current key for pseudonyms, one store after the other."""

from training.rekeying.run import RekeyRequest, rekey

__all__ = ["RekeyRequest", "rekey"]
