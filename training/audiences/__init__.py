"""Audiences after the fact: who was in one, for export, and how large they were day by day."""
