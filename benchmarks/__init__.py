"""Measurements that anyone can rerun; results in RESULTS.md."""
