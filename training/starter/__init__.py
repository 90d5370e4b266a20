"""The starter bundle: what a shop serves before it has data of its own, learned from simulated ones."""

from __future__ import annotations

from training.starter.publish import StarterReport, StarterRequest, publish_starter

__all__ = ["StarterReport", "StarterRequest", "publish_starter"]
