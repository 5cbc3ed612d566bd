"""Shapes of answers, one module for each subject and one struct for each object, with keys in the order and with the
names of the wire.

The OpenAPI document is made from these structs, and the tests check every answer against them; the answers themselves
are encoded by the models. A key that may be absent is `T | UnsetType = UNSET`; a key that is always there and may be
null is `T | None`. Keys of a base class come first; a key whose type a subclass narrows keeps its place.
"""
