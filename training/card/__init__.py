"""The model card: one self-contained page that says how far a bundle can be trusted."""

from training.card.card import Card, Portrait
from training.card.files import write_card
from training.card.page import render_card
from training.card.parts import Part

__all__ = ["Card", "Part", "Portrait", "render_card", "write_card"]
