"""Feast's names, imported without what importing Feast does to the process.

`import feast` (0.67) points `PROMETHEUS_MULTIPROC_DIR` at a new temporary folder, which moves every
metric of this process and of its children into files there, and it replaces the warning filters.
Both are undone here, so nothing else imports feast before this module; and from here on Feast runs
no code that it finds in a registry (`feast_registry`). It takes most of a second:
import it inside the functions that need it. It would take four, because Feast has typeguard write
checks of types into its classes, every time; typeguard's own advice is to do without in production.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Final, TypeVar

# Keeps metrics in memory if nobody has imported it yet: it looks at the environment when imported.
import prometheus_client  # noqa: F401

from micromoment.stores.feast_registry import guard_feast

_Target = TypeVar("_Target")
_VARIABLES: Final = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


def _import_feast() -> None:
    before = {name: os.environ.get(name) for name in _VARIABLES}
    # With a value already there Feast makes no temporary folder.
    os.environ.update({name: value or "" for name, value in before.items()})
    typeguard = vars(importlib.import_module("typeguard"))
    typechecked = typeguard["typechecked"]
    typeguard["typechecked"] = _unchecked
    try:
        with warnings.catch_warnings():
            importlib.import_module("feast")
    finally:
        typeguard["typechecked"] = typechecked
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _unchecked(target: _Target) -> _Target:
    return target


_import_feast()
guard_feast()

from feast import (  # noqa: E402 - the guarded import comes first
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RepoConfig,
    ValueType,
)
from feast.data_format import ParquetFormat  # noqa: E402
from feast.infra.key_encoding_utils import (  # noqa: E402
    deserialize_entity_key,
    serialize_entity_key,
)
from feast.infra.provider import get_provider  # noqa: E402
from feast.protos.feast.types.EntityKey_pb2 import EntityKey  # noqa: E402
from feast.protos.feast.types.Value_pb2 import Value  # noqa: E402
from feast.repo_config import load_repo_config  # noqa: E402
from feast.types import Float32, Int64  # noqa: E402

__all__ = [
    "Entity",
    "EntityKey",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "Field",
    "FileSource",
    "Float32",
    "Int64",
    "ParquetFormat",
    "RepoConfig",
    "Value",
    "ValueType",
    "deserialize_entity_key",
    "get_provider",
    "load_repo_config",
    "serialize_entity_key",
]
