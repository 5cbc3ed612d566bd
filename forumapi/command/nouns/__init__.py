"""Definitions of the commands, one module a noun; few modules hold several small commands."""
