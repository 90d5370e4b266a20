"""Which probabilities apply to a visit, given what has happened in it. One rule for both paths."""

from __future__ import annotations


def conversion_of(probability: float, converted: bool) -> float | None:
    """Give the conversion to report: none once the visit has converted."""
    return None if converted else probability


def abandonment_of(probability: float, converted: bool, cart_filled: bool) -> float | None:
    """Give 1 - conversion while the cart is not empty and the visit has not converted."""
    return 1.0 - probability if cart_filled and not converted else None
