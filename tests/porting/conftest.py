"""Fixtures of the tests of moving forums."""

from tests.porting.moved import config, moved

__all__ = ["config", "moved"]
