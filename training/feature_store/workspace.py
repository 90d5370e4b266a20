"""Where one shop's features are kept: any number of workspaces can be used side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from micromoment.stores.feast_config import repo_config

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True, slots=True)
class FeatureWorkspace:
    """A folder with Parquet files of features, Feast's registry and the embedded online store.

    A `feature_store.yaml` in it replaces the embedded Feast configuration.
    """

    root: Path

    def __post_init__(self) -> None:
        # The registry records absolute paths: DuckDB resolves others against the working folder.
        object.__setattr__(self, "root", self.root.absolute())

    @property
    def snapshots(self) -> Path:
        """Folder of user snapshots, one file per cut."""
        return self.root / "user_snapshots"

    @property
    def decisions(self) -> Path:
        """Folder of replayed decision points."""
        return self.root / "decisions"

    def make_folders(self) -> None:
        """Make the folders that aren't there."""
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self.decisions.mkdir(exist_ok=True)

    def open(self) -> FeatureStore:
        """Give the workspace through Feast's SDK; the first import of Feast takes seconds."""
        from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

        # Without `repo_path` the registry's relative path would start at the working folder.
        return feast.FeatureStore(repo_path=str(self.root), config=repo_config(self.root))
