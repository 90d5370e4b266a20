"""Everything offline: importers, replay, training, evaluation and publishing of bundles."""
