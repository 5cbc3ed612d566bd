"""Structs and queries, one subject a module. A model never sees HTTP."""
