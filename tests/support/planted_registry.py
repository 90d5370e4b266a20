"""Code planted into a Feast registry.

Each kind of plant makes a file named after it when it is executed, by whoever reads the registry.
Run as `python -m tests.support.planted_registry REGISTRY` it reads all objects of one with Feast as
it is, unguarded, to show that the plant is one.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

SOURCE_CLASS: Final = "planted_source.Source"
_VIEW: Final = "planted"


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self._path,)


def _pickled(touched: Path) -> bytes:
    return pickle.dumps(_Touch(touched))


def _text(touched: Path) -> str:
    return f"open({str(touched)!r}, 'w').close()\ndef planted(inputs):\n    return inputs\n"


def _on_demand_text(registry: Any, touched: Path) -> None:  # noqa: ANN401 - Feast's message
    spec = registry.on_demand_feature_views.add().spec
    spec.name, spec.project, spec.mode = _VIEW, "micromoment", "python"
    function = spec.feature_transformation.user_defined_function
    function.name, function.body_text, function.mode = "planted", _text(touched), "python"


def _on_demand_pickle(registry: Any, touched: Path) -> None:  # noqa: ANN401
    spec = registry.on_demand_feature_views.add().spec
    spec.name, spec.project, spec.mode = _VIEW, "micromoment", "pandas"
    spec.user_defined_function.body = _pickled(touched)


def _stream(registry: Any, touched: Path) -> None:  # noqa: ANN401
    spec = registry.stream_feature_views.add().spec
    spec.name, spec.project = _VIEW, "micromoment"
    spec.stream_source.CopyFrom(registry.data_sources[0])
    spec.user_defined_function.body = _pickled(touched)


def _view(registry: Any, touched: Path) -> None:  # noqa: ANN401
    function = registry.feature_views[0].spec.feature_transformation.user_defined_function
    function.body_text, function.name = _text(touched), "planted"


def _substrait(registry: Any, touched: Path) -> None:  # noqa: ANN401
    plan = registry.feature_views[0].spec.feature_transformation.substrait_transformation
    plan.ibis_function = _pickled(touched)


def _profiler(registry: Any, touched: Path) -> None:  # noqa: ANN401
    reference = registry.validation_references.add()
    reference.name, reference.project = _VIEW, "micromoment"
    reference.ge_profiler.profiler.body = _pickled(touched)


def _source_class(registry: Any, touched: Path) -> None:  # noqa: ANN401
    source = registry.data_sources[0]
    source.type, source.data_source_class_type = source.CUSTOM_SOURCE, SOURCE_CLASS
    module = touched.parent / f"{SOURCE_CLASS.partition('.')[0]}.py"
    module.write_text(f"open({str(touched)!r}, 'w').close()\n")


def _version(registry: Any, touched: Path) -> None:  # noqa: ANN401
    view = registry.feature_views[0].__class__()
    view.CopyFrom(registry.feature_views[0])
    view.spec.feature_transformation.user_defined_function.body_text = _text(touched)
    record = registry.feature_view_version_history.records.add()
    record.feature_view_name, record.project_id = view.spec.name, "micromoment"
    record.feature_view_type, record.version_number = "feature_view", 1
    record.feature_view_proto = view.SerializeToString()


PLANTS: Final[dict[str, Callable[[Any, Path], None]]] = {
    "on-demand-text": _on_demand_text,
    "on-demand-pickle": _on_demand_pickle,
    "stream": _stream,
    "view": _view,
    "substrait": _substrait,
    "profiler": _profiler,
    "source-class": _source_class,
    "version": _version,
}


def plant(registry: Path, kind: str) -> Path:
    """Put code into a registry file; gives the file that is there once it was executed."""
    message = importlib.import_module("feast.protos.feast.core.Registry_pb2").Registry()
    message.ParseFromString(registry.read_bytes())
    touched = registry.with_name(f"executed-{kind}")
    PLANTS[kind](message, touched)
    message.version_id = kind  # what Feast remembers lists by
    registry.write_bytes(message.SerializeToString())
    return touched


def main(*registries: str) -> None:
    """Read all objects of registries as Feast does without a guard."""
    registry: Any = importlib.import_module("feast.infra.registry.registry")
    config: Any = importlib.import_module("feast.repo_config").RegistryConfig
    for path in registries:
        sys.path.insert(0, str(Path(path).parent))
        opened = registry.Registry("micromoment", config(path=path), Path(path).parent)
        for read in (
            opened.list_data_sources,
            opened.list_feature_views,
            opened.list_stream_feature_views,
            opened.list_on_demand_feature_views,
            opened.list_validation_references,
            lambda project, opened=opened: opened.get_feature_view_by_version(
                "user_snapshot", project, 1
            ),
        ):
            try:
                read(project="micromoment")
            except Exception as error:  # noqa: BLE001 - a plant need be nothing that Feast can use
                print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
