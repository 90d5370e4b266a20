"""The starter bundle: what a shop serves before it has data of its own; of simulated shops."""

from __future__ import annotations

from training.starter.publish import StarterReport, StarterRequest, publish_starter

__all__ = ["StarterReport", "StarterRequest", "publish_starter"]
