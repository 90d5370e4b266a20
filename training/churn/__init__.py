"""Churn: who will not order, or not come, within the horizon. Target, rows, model, evaluation."""
