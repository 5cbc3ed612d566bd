"""Logging: one logger for the package."""

from __future__ import annotations

import logging

logger = logging.getLogger("forumapi")
