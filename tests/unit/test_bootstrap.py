"""What a server is put together from, as its log tells it."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from micromoment.bootstrap import _open_user_features as open_user_features
from micromoment.settings import Settings


def test_the_start_says_where_user_features_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a whole path, since a workspace may be the one that lay there; or that there is none."""
    monkeypatch.chdir(tmp_path)
    with capture_logs() as logs:
        open_user_features(Settings(feature_store=Path("data/features")))
        open_user_features(Settings(feature_store=None))
    assert [(one["event"], one.get("workspace")) for one in logs] == [
        ("user_features", str(tmp_path / "data/features")),
        ("no_user_features", None),
    ]
