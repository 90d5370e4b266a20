"""What `feast apply` registers: the definitions of `training.feature_store`, on one workspace.

The workspace is the folder in `MICROMOMENT_FEATURE_STORE`, else `data/features` of this repository.
Feast imports every Python file of this folder; scripts do not belong here.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from training.feature_store import FeatureWorkspace
from training.feature_store.definitions import define

HERE = Path(__file__).resolve().parent
DEFAULT = HERE.parent / "data" / "features"


def chosen_workspace() -> FeatureWorkspace:
    """Give the environment's workspace; refuse one that the configuration in use is not for."""
    given = os.environ.get("MICROMOMENT_FEATURE_STORE")
    if not given:
        return FeatureWorkspace(DEFAULT)
    context = click.get_current_context(silent=True)
    if context is not None and context.obj["FS_YAML_FILE"] == HERE / "feature_store.yaml":
        raise click.ClickException(
            "feature_store.yaml is for data/features, but MICROMOMENT_FEATURE_STORE is set: "
            "use `feast -f feature_store.env.yaml`"
        )
    return FeatureWorkspace(Path(given))


workspace = chosen_workspace()
workspace.make_folders()

# Feast looks for its objects among a module's names.
_defined = define(workspace)
visitor = _defined.visitor
decision = _defined.decision
user_snapshots = _defined.user_source
decisions = _defined.decision_source
user_view = _defined.user_view
session_view = _defined.session_view
conversion = _defined.conversion
user_snapshot = _defined.user_snapshot
