"""Protobuf messages as tables: declares the few we speak, under names of our own; never ships generated code.

Packages that bring Envoy's or CEL's generated modules register descriptors other packages register too, and then
neither can be imported. A message is compatible on the wire when its field numbers and types are, whatever it is
called, so ours are declared here from tables and live in a descriptor pool nobody else uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, struct_pb2, wrappers_pb2

_F = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _F.TYPE_STRING,
    "bytes": _F.TYPE_BYTES,
    "bool": _F.TYPE_BOOL,
    "int32": _F.TYPE_INT32,
    "int64": _F.TYPE_INT64,
    "uint64": _F.TYPE_UINT64,
    "double": _F.TYPE_DOUBLE,
}
_WELL_KNOWN = (any_pb2, struct_pb2, wrappers_pb2)

Fields = Mapping[str, tuple[int, str]]
"""Field name to (number, type). A type is a scalar, a message of the table, or a full ``.google.protobuf`` name;
``repeated T``, ``oneof T`` (all such fields form one choice) and ``map`` (string to string) decorate it."""


def declare(package: str, messages: Mapping[str, Fields]) -> dict[str, Any]:
    """Message classes for a table of messages, in a pool of their own."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    pool = descriptor_pool.DescriptorPool()
    for module in _WELL_KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        file.dependency.append(module.DESCRIPTOR.name)
    for name, fields in messages.items():
        _add_message(file, name, fields)
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def _add_message(file: descriptor_pb2.FileDescriptorProto, name: str, fields: Fields) -> None:
    message = file.message_type.add(name=name)
    for field_name, (number, kind) in fields.items():
        field = message.field.add(name=field_name, number=number, label=_F.LABEL_OPTIONAL)
        decoration, _, bare = kind.rpartition(" ")
        if bare == "map":
            field.label = _F.LABEL_REPEATED
            bare = _map_entry(message, f".{file.package}.{name}", field_name)
        elif decoration == "repeated":
            field.label = _F.LABEL_REPEATED
        elif decoration == "oneof":
            if not message.oneof_decl:
                message.oneof_decl.add(name="choice")
            field.oneof_index = 0
        _set_type(field, bare, file.package)


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str, package: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _F.TYPE_ENUM if kind.endswith("NullValue") else _F.TYPE_MESSAGE
        field.type_name = kind if kind.startswith(".") else f".{package}.{kind}"


def _map_entry(message: descriptor_pb2.DescriptorProto, parent: str, field_name: str) -> str:
    """The nested message protobuf makes of a ``map<string, string>`` field."""
    entry = message.nested_type.add(name=f"{field_name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_F.LABEL_OPTIONAL, type=_F.TYPE_STRING)
    entry.field.add(name="value", number=2, label=_F.LABEL_OPTIONAL, type=_F.TYPE_STRING)
    return f"{parent}.{entry.name}"
