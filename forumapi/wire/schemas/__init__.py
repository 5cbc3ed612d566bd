"""Shapes of answers, a module a subject: one struct an object, keys in wire order, with the names of the wire.

The OpenAPI document is made from these structs, and every answer of the test suite is checked against it. A key that
may be absent is `T | UnsetType = UNSET`; a key that is always there and may be null is `T | None`. The structs make no
answers: documents are encoded by their models. Keys of a base class come first, so a base holds what objects begin
with; a type that a subclass narrows keeps the key's place.
"""
