"""Clusters of behaviour and audiences by rule: what a bundle says of where a visit belongs."""

from training.segments.fit import FittedSegments, SegmentPlan, fit_segments, plan_segments

__all__ = ["FittedSegments", "SegmentPlan", "fit_segments", "plan_segments"]
