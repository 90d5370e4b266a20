"""Which stores the online side of the check runs on, kept apart from what else is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from micromoment.errors import InvalidDataError
from micromoment.stores.feast_config import CONFIG_FILE
from training.feature_store import FeatureWorkspace

_PROJECT: Final = "micromoment_parity"
_KEY_TTL_S: Final = 86_400
_LOG_RETENTION_S: Final = 3_600.0
_WORKSPACE_VARIABLE: Final = "${MICROMOMENT_FEATURE_STORE}"


@dataclass(frozen=True)
class OnlineStores:
    """Embedded where nothing is named: sessions in memory, users' features in SQLite.

    `sessions` is a URL as the setting `session_store` takes it, `features` a `feature_store.yaml`.
    """

    sessions: str = ""
    features: Path | None = None

    def prepare(self, workspace: FeatureWorkspace) -> None:
        """Give a workspace the Feast configuration, under a project of its own.

        Raises `InvalidDataError` for a file that is none.
        """
        if self.features is None:
            return
        try:
            text = self.features.read_text(encoding="utf-8")
            config = yaml.safe_load(text.replace(_WORKSPACE_VARIABLE, str(workspace.root)))
            online: dict[str, Any] = config["online_store"]
            # Published rows are replaced in the course of the check: never a shop's own.
            config["project"] = _PROJECT
            if online["type"] == "redis":
                online["key_ttl_seconds"] = _KEY_TTL_S
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            detail = f"is no feature_store.yaml with an online_store: {error}"
            raise InvalidDataError(str(self.features), detail) from error
        workspace.root.mkdir(parents=True, exist_ok=True)
        (workspace.root / CONFIG_FILE).write_text(yaml.safe_dump(config), encoding="utf-8")

    def settings(self, scratch: Path) -> dict[str, str | Path | float]:
        """Give the settings with which the server's sessions outlive its restarts."""
        if not self.sessions:
            return {"state_file": scratch / "sessions.bin"}
        return {
            "session_store": self.sessions,
            "session_prefix": f"micromoment-parity-{os.urandom(8).hex()}:",
            # Nothing of the check stays in a shop's Redis.
            "log_retention": _LOG_RETENTION_S,
            # A slow machine must not turn a session into an unavailable one here.
            "session_timeout": 20.0,
        }
