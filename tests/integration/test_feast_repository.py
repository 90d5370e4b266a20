"""The `feast` command on `feature_repo/`, and importing Feast."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.features.user_snapshot import SNAPSHOT_COLUMNS
from micromoment.stores.feast_config import embedded, repo_config
from training.feature_store import FeatureWorkspace, apply

REPOSITORY = Path(__file__).parents[2]
FEATURE_REPO = REPOSITORY / "feature_repo"


def feast(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the `feast` command in a folder."""
    kept = {
        name: value for name, value in os.environ.items() if name != "MICROMOMENT_FEATURE_STORE"
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name("feast")), *arguments],
        cwd=folder,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def registered(workspace: FeatureWorkspace) -> dict[str, dict[str, str]]:
    """Give each registered view's fields with their types."""
    store = workspace.open()
    return {
        view.name: {field.name: str(field.dtype) for field in view.features}
        for view in store.list_feature_views()
    }


def expected_views() -> dict[str, dict[str, str]]:
    """Give what the catalogue says that the views hold."""
    return {
        "user_snapshot": {column.name: "Int64" for column in SNAPSHOT_COLUMNS},
        "session_features": {spec.name: "Float32" for spec in SESSION_FEATURES},
    }


def test_apply_registers_what_the_catalogue_says(tmp_path: Path) -> None:
    """Views have the catalogue's fields; services are one per model and the users' own."""
    workspace = FeatureWorkspace(tmp_path)
    apply(workspace)
    apply(workspace)
    assert registered(workspace) == expected_views()
    services = {
        service.name: [view.name for view in service.feature_view_projections]
        for service in workspace.open().list_feature_services()
    }
    assert services == {
        "conversion": ["session_features", "user_snapshot"],
        "user_snapshot": ["user_snapshot"],
    }


def test_the_command_needs_nothing_but_the_repository(tmp_path: Path) -> None:
    """`feast apply` in a copy of feature_repo registers the same in data/features beside it."""
    shutil.copytree(
        FEATURE_REPO, tmp_path / "feature_repo", ignore=shutil.ignore_patterns("__pycache__")
    )
    result = feast("apply", folder=tmp_path / "feature_repo")
    assert result.returncode == 0, result.stderr
    workspace = FeatureWorkspace(tmp_path / "data" / "features")
    assert registered(workspace) == expected_views()
    assert (workspace.root / "online.db").exists()


def test_the_command_takes_the_workspace_from_the_environment(tmp_path: Path) -> None:
    """All files are below MICROMOMENT_FEATURE_STORE; the default's configuration is refused."""
    options = {"folder": FEATURE_REPO, "MICROMOMENT_FEATURE_STORE": str(tmp_path)}
    refused = feast("apply", **options)  # type: ignore[arg-type] # a folder and a variable
    assert refused.returncode != 0
    assert "feature_store.env.yaml" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    result = feast("-f", "feature_store.env.yaml", "apply", **options)  # type: ignore[arg-type] # as above
    assert result.returncode == 0, result.stderr
    assert registered(FeatureWorkspace(tmp_path)) == expected_views()


@pytest.mark.parametrize("name", ["feature_store.yaml", "feature_store.env.yaml"])
def test_the_commands_configuration_is_the_embedded_one(name: str) -> None:
    """But for where its files are, the command uses what a workspace uses by itself."""
    assert _without_paths(yaml.safe_load((FEATURE_REPO / name).read_text())) == _without_paths(
        embedded()
    )


def test_the_redis_configuration_serves_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied to a workspace it is what training and serving open, with its variables filled in."""
    monkeypatch.setenv("MICROMOMENT_FEATURE_STORE", str(tmp_path))
    monkeypatch.setenv("FEAST_REDIS", "redis.example:6380,ssl=true")
    shutil.copyfile(FEATURE_REPO / "feature_store.redis.yaml", tmp_path / "feature_store.yaml")
    config = repo_config(tmp_path)
    assert config.registry.path == f"{tmp_path}/registry.db"
    assert config.online_store.connection_string == "redis.example:6380,ssl=true,retry=null"
    assert config.online_store.key_ttl_seconds > 366 * 86_400
    own = yaml.safe_load((FEATURE_REPO / "feature_store.redis.yaml").read_text())
    online = embedded()["online_store"]
    assert _without_paths({**own, "online_store": online}) == _without_paths(embedded())


def test_importing_feast_leaves_the_process_alone() -> None:
    """Metrics stay in memory, and neither the environment nor the warning filters change."""
    script = """
import os, sys, warnings
before, filters = dict(os.environ), list(warnings.filters)
from micromoment.stores import feast_sdk
import prometheus_client
assert "feast" in sys.modules
assert dict(os.environ) == before
assert [one for one in warnings.filters if one[2] is DeprecationWarning][:1] == [
    one for one in filters if one[2] is DeprecationWarning][:1]
assert prometheus_client.values.ValueClass.__name__ == "MutexValue"
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_package_does_not_import_feast_by_itself() -> None:
    """Importing the store of user features or the training steps doesn't wait for Feast."""
    script = """
import sys
import micromoment.stores.user_features, training.feature_store, training.snapshots
assert "feast" not in sys.modules
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def _without_paths(config: dict[str, Any]) -> dict[str, Any]:
    cut = {**config}
    for part in ("registry", "online_store"):
        cut[part] = {key: value for key, value in config[part].items() if key != "path"}
    return cut
