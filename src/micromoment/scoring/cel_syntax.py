"""The part of CEL's checked syntax tree that is read here, as protobuf messages.

Numbers of fields are those of `cel/expr/syntax.proto` and `checked.proto` in the CEL specification
(https://github.com/google/cel-spec); fields that are left out are unknown to these messages.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "micromoment.cel"
_SCALARS: Final = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}
# Message, then its fields: name, number, type; `*` marks a list. Of `_KINDS` one field is set.
_MESSAGES: Final = {
    "Constant": (("bool_value", 2, "bool"), ("double_value", 5, "double"),
                 ("string_value", 6, "string")),
    "Ident": (("name", 1, "string"),),
    "Call": (("target", 1, "Expr"), ("function", 2, "string"), ("args", 3, "*Expr")),
    "List": (("elements", 1, "*Expr"),),
    "Expr": (("const_expr", 3, "Constant"), ("ident_expr", 4, "Ident"), ("call_expr", 6, "Call"),
             ("list_expr", 7, "List")),
    "Checked": (("expr", 4, "Expr"),),
}  # fmt: skip
_KINDS: Final = ("Constant", "Expr")


def _message_types() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="micromoment/cel.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _KINDS:
            message.oneof_decl.add(name="kind")
        for field, number, type_name in fields:
            added = message.field.add(name=field, number=number)
            added.label = (
                added.LABEL_REPEATED if type_name.startswith("*") else added.LABEL_OPTIONAL
            )
            if name in _KINDS:
                added.oneof_index = 0
            kind = type_name.removeprefix("*")
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type, added.type_name = added.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name], pool)


_CHECKED: Final = _message_types()[f"{_PACKAGE}.Checked"]


def expression_of(serialized: bytes) -> Any:  # noqa: ANN401 - a message made above
    """Parse what `cel.Expression.serialize` gives to an `Expr`."""
    packed = any_pb2.Any.FromString(serialized)
    return _CHECKED.FromString(packed.value).expr
