"""Replay of events through the reducer."""
