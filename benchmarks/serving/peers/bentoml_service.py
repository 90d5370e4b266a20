"""A bare BentoML service: one LightGBM prediction per call. Runs in BentoML's environment."""

import os

import bentoml
import lightgbm
import numpy as np


@bentoml.service(
    name="conversion", workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}}
)
class Conversion:
    """Predicts with the model file that the environment variable MODEL_FILE names."""

    def __init__(self) -> None:
        self._booster = lightgbm.Booster(model_file=os.environ["MODEL_FILE"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, features: list[float]) -> float:
        """Give the prediction for one row."""
        row = np.array([features], dtype=np.float32)
        return float(self._booster.predict(row, num_threads=1)[0])
