"""Definitions of the commands, one module a noun as typed; a module of several small commands is named after them
all.
"""
