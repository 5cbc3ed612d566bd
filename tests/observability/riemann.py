"""Riemann's protocol as its own schema has it, decoded by Google's library."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELDS: dict[str, list[tuple[int, str, str, bool]]] = {
    "Attribute": [(1, "key", "string", False), (2, "value", "string", False)],
    "Event": [
        (1, "time", "int64", False),
        (2, "state", "string", False),
        (3, "service", "string", False),
        (4, "host", "string", False),
        (5, "description", "string", False),
        (7, "tags", "string", True),
        (8, "ttl", "float", False),
        (9, "attributes", "Attribute", True),
        (10, "time_micros", "int64", False),
        (13, "metric_sint64", "sint64", False),
        (14, "metric_d", "double", False),
        (15, "metric_f", "float", False),
    ],
    "Msg": [(2, "ok", "bool", False), (3, "error", "string", False), (6, "events", "Event", True)],
}


def _message_class(name: str) -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="riemann.proto", syntax="proto2")
    for message, fields in _FIELDS.items():
        made = file.message_type.add(name=message)
        for number, called, kind, is_repeated in fields:
            added = made.field.add(name=called, number=number)
            added.label = field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL
            if kind in _FIELDS:
                added.type, added.type_name = field.TYPE_MESSAGE, kind
            else:
                added.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


Msg = _message_class("Msg")


def events(data: bytes) -> list[Any]:
    """The events of a message. Raises DecodeError, and AssertionError for fields that Riemann does not know."""
    message = Msg.FromString(data)
    assert message.SerializeToString() == data
    return list(message.events)
