"""What it predicts: bundles, models and the scorer."""
