"""Keeps Feast from running code that it finds in its registry.

A registry can carry functions, as source text and pickled (dill), and names of classes to import;
Feast executes them when it reads an object, so whoever can write the registry runs code in each
process that opens it. This project's registries have none: `training.feature_store` defines views
of plain columns. So one that has any is refused as a whole when it is read, and what Feast would
execute them with is put out of use, for registries that are read in other ways (SQL, a server).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from micromoment.stores.errors import RegistryCodeError

_OWN: Final = "feast."
# Messages that are nothing but code.
_FUNCTIONS: Final = frozenset(
    {
        "feast.core.UserDefinedFunction",
        "feast.core.UserDefinedFunctionV2",
        "feast.core.SubstraitTransformationV2",
        "feast.core.GEValidationProfiler.UserDefinedProfiler",
    }
)
# Fields that name a class, whose module is imported and whose method is called.
_CLASSES: Final = frozenset(
    {
        "feast.core.DataSource.data_source_class_type",
        "feast.core.InfraObject.infra_object_class_type",
    }
)
# Fields whose bytes a class of the registry's choice reads.
_FREE_FORM: Final = frozenset(
    {
        "feast.core.SavedDatasetStorage.custom_storage",
        "feast.core.InfraObject.custom_infra",
    }
)
_RECORD: Final = "feast.core.FeatureViewVersionRecord"
_RECORDED: Final = {
    "feature_view": ("FeatureView_pb2", "FeatureView"),
    "stream_feature_view": ("StreamFeatureView_pb2", "StreamFeatureView"),
    "on_demand_feature_view": ("OnDemandFeatureView_pb2", "OnDemandFeatureView"),
    "label_view": ("LabelView_pb2", "LabelView"),
}


def refuse_code(registry: Message) -> None:
    """Raise `RegistryCodeError` naming the first place of a registry that holds code."""
    for place in _code(registry, ""):
        raise RegistryCodeError(place)


def guard_feast() -> None:
    """Refuse code in every registry that this process opens from now on."""
    registry: Any = importlib.import_module("feast.infra.registry.registry")
    for name in ("get_registry_store_class_from_scheme", "get_registry_store_class_from_type"):
        setattr(registry, name, _with_checked_reads(getattr(registry, name)))
    rehydrating: Any = importlib.import_module("feast.transformation.udf_rehydrate")
    rehydrating.rehydrate_udf_from_source = _refuse_function
    # All of Feast unpickles through these two; nothing else in the process uses dill.
    # nosemgrep: no-unpickling
    dill: Any = importlib.import_module("dill")  # nosec B403 - to put it out of use
    dill.load = dill.loads = _refuse_function
    for name, function in (
        ("feast.data_source", "get_data_source_class_from_type"),
        ("feast.infra.infra_object", "_get_infra_object_class_from_type"),
        ("feast.saved_dataset", "get_saved_dataset_storage_class_from_path"),
    ):
        module: Any = importlib.import_module(name)
        setattr(module, function, _of_feast_alone(getattr(module, function)))


def _with_checked_reads(find: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have the stores of registry files look at what they read."""

    def find_checked(name: str) -> Any:  # noqa: ANN401 - a class of Feast's
        store: Any = find(name)

        class Checked(store):  # type: ignore[misc] # a class that is known at run time
            def get_registry_proto(self) -> Any:  # noqa: ANN401 - a message of Feast's
                read = super().get_registry_proto()
                refuse_code(read)
                return read

        Checked.__name__ = store.__name__
        return Checked

    return find_checked


def _of_feast_alone(find: Callable[[str], Any]) -> Callable[[str], Any]:
    def find_own(name: str) -> Any:  # noqa: ANN401 - a class of Feast's
        if not name.startswith(_OWN):
            raise RegistryCodeError("a class that is not Feast's")
        return find(name)

    return find_own


def _refuse_function(*_: object, **__: object) -> NoReturn:
    raise RegistryCodeError("a function")


def _code(message: Message, place: str) -> Iterator[str]:
    """Give the places of a message that hold code, as `feature_views[2].spec.x`."""
    if message.DESCRIPTOR.full_name in _FUNCTIONS:
        yield place
        return
    if message.DESCRIPTOR.full_name == _RECORD:
        yield from _recorded_code(message, place)
    for field, value in message.ListFields():
        where = f"{place}.{field.name}" if place else field.name
        if field.full_name in _FREE_FORM:
            yield where
        elif field.full_name in _CLASSES:
            if not value.startswith(_OWN):
                yield where
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for number, one in enumerate(_messages(field, value)):
                yield from _code(one, f"{where}[{number}]" if field.is_repeated else where)


def _recorded_code(record: Any, place: str) -> Iterator[str]:  # noqa: ANN401 - Feast's message
    """Look into a view of an earlier version, which is kept as bytes."""
    where = f"{place}.feature_view_proto"
    kind = _RECORDED.get(record.feature_view_type)
    if kind is None:
        yield where
        return
    module: Any = importlib.import_module(f"feast.protos.feast.core.{kind[0]}")
    try:
        view = getattr(module, kind[1]).FromString(record.feature_view_proto)
    except DecodeError:
        yield where
        return
    yield from _code(view, where)


def _messages(field: FieldDescriptor, value: Any) -> Iterator[Message]:  # noqa: ANN401 - of any kind
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        yield from (one for one in value.values() if isinstance(one, Message))
    elif field.is_repeated:
        yield from value
    else:
        yield value
