"""Features through Feast: register, join as of a moment, publish for serving."""

from training.feature_store.decisions import KeepRows, training_parts, training_rows
from training.feature_store.historical import UserRows, user_rows_at
from training.feature_store.online import materialize
from training.feature_store.registry import apply
from training.feature_store.workspace import FeatureWorkspace

__all__ = [
    "FeatureWorkspace",
    "KeepRows",
    "UserRows",
    "apply",
    "materialize",
    "training_parts",
    "training_rows",
    "user_rows_at",
]
